// A read model is a struct with named fields.
#![allow(unused)]
use minos::prelude::*;

#[read_model]
enum FooView {
    One,
}

fn main() {}
