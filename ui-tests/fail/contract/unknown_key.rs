// A key of `contract` that is nearly right is named.
#![allow(unused)]
use minos::prelude::*;

#[contract(replay = Done)]
struct CreateFoo {
    text: String,
}

#[model]
struct Done {
    id: Uuid,
}

fn main() {}
