// The crate of an aggregate says which service it is.
#![allow(unused)]
use minos::prelude::*;

#[aggregate]
struct Foo {
    bar: String,
}

fn main() {}
