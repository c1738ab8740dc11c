// The status of a refusal is 400 to 599.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    #[error(status = 200, "taken")]
    Taken,
}

fn main() {}
