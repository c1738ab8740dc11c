// A field is marked once.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo {
    #[unique]
    #[unique]
    bar: String,
}

fn main() {}
