// A row has one key.
#![allow(unused)]
use minos::prelude::*;

#[read_model]
struct FooView {
    #[key]
    uuid: Uuid,
    #[key]
    bar: String,
}

fn main() {}
