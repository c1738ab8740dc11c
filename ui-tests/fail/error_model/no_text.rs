// Each variant has a text.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    #[error(status = 409, "taken")]
    Taken,
    Gone,
}

fn main() {}
