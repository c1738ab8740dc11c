// All mistakes of one item are reported at once.
#![allow(unused)]
use minos::prelude::*;

#[error_model]
enum Refused {
    Gone,
    #[error(status = 99, "taken")]
    Taken,
    #[error("{}")]
    Odd { number: u32 },
    #[error(code = "x", "late")]
    Late,
}

fn main() {}
