// The name of a contract is its topic.
#![allow(unused)]
use minos::prelude::*;

#[contract("Create Foo")]
struct CreateFoo {
    text: String,
}

fn main() {}
