// A placeholder names a field of the variant.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    #[error(status = 409, "{txet:?} is taken")]
    Taken { text: String },
}

fn main() {}
