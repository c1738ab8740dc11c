// The error of a contract is an error model.
#![allow(unused)]
use minos::prelude::*;

#[model]
struct Problem {
    text: String,
}

#[contract(error = Problem)]
struct CreateFoo {
    text: String,
}

fn main() {}
