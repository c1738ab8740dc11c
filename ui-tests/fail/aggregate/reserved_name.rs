// `Root` has a name for this already.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo {
    bar: String,
    version: u64,
}

fn main() {}
