// A key is given once.
#![allow(unused)]
use minos::prelude::*;

#[contract(query, reply = Uuid, reply = String)]
struct GetFoo {
    id: Uuid,
}

fn main() {}
