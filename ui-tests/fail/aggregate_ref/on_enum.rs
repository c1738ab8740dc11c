// A reference is a struct with named fields.
#![allow(unused)]
use minos::prelude::*;

#[aggregate_ref]
enum Foo {
    One,
}

fn main() {}
