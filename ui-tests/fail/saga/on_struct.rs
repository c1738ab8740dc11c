// A saga attribute goes on the impl block.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[saga]
#[model]
struct Order {
    id: Uuid,
}

fn main() {}
