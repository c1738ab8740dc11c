// `model` stands above the derives.
#![allow(unused)]
use minos::prelude::*;

#[derive(Clone)]
#[model]
struct Data {
    text: String,
}

fn main() {}
