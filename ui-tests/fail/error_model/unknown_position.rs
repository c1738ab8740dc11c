// A placeholder names a field of the variant.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    #[error(status = 409, "{1} is taken")]
    Taken(String),
}

fn main() {}
