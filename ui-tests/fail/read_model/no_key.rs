// A row is found by its key.
#![allow(unused)]
use minos::prelude::*;

#[read_model]
struct FooView {
    uuid: Uuid,
}

fn main() {}
