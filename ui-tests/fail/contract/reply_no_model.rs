// The reply of a contract is a model.
#![allow(unused)]
use minos::prelude::*;

struct Plain;

#[contract(reply = Plain)]
struct CreateFoo {
    text: String,
}

fn main() {}
