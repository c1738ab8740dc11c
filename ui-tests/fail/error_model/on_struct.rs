// An error model is an enum: one variant per refusal.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
struct Refused {
    text: String,
}

fn main() {}
