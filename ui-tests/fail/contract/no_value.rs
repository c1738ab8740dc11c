// A key of `contract` has a value.
#![allow(unused)]
use minos::prelude::*;

#[contract(reply)]
struct CreateFoo {
    text: String,
}

fn main() {}
