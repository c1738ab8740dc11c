// All mistakes of one item are reported at once.
#![allow(unused)]
use minos::prelude::*;

#[read_model(table = "foos")]
struct FooView {
    #[key(1)]
    uuid: Uuid,
    #[key]
    bar: String,
}

fn main() {}
