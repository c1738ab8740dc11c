// The owner of an aggregate keeps its values unique.
#![allow(unused)]
use minos::prelude::*;

#[aggregate_ref]
struct Foo {
    #[unique]
    bar: String,
}

fn main() {}
