// A contract that says nothing is a command.
#![allow(unused)]
use minos::prelude::*;

#[contract(command)]
struct CreateFoo {
    text: String,
}

fn main() {}
