// `model` takes no arguments.
#![allow(unused)]
use minos::prelude::*;

#[model(rename = "x")]
struct Data {
    text: String,
}

fn main() {}
