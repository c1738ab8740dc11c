// A field of a model is a model, or a type that serde and schemars know.
#![allow(unused)]
use minos::prelude::*;

#[derive(Clone, Debug, PartialEq)]
struct Plain;

#[model]
struct Data {
    text: String,
    plain: Vec<Plain>,
}

fn main() {}
