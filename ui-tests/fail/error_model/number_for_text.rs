// `error` knows `status` and a text.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    #[error(409, "taken")]
    Taken,
}

fn main() {}
