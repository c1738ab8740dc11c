// A model has one name and one schema, so no generics.
#![allow(unused)]
use minos::prelude::*;

#[model]
struct Page<T> {
    items: Vec<T>,
}

fn main() {}
