// `unique` takes no arguments.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo {
    #[unique(ignore_case)]
    bar: String,
}

fn main() {}
