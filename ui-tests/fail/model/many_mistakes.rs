// All mistakes of one item are reported at once.
#![allow(unused)]
use minos::prelude::*;

#[model(one, two)]
enum Data<'a, T> {
    Text(&'a str),
    Other(T),
}

fn main() {}
