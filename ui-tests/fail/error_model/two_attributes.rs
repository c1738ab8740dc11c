// A variant has one text.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    #[error("taken")]
    #[error("by somebody")]
    Taken,
}

fn main() {}
