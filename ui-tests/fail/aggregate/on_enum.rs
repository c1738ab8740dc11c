// An aggregate is a struct with named fields.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
enum Foo {
    One,
}

fn main() {}
