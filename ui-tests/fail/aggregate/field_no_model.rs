// A field of an aggregate is a model.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Clone, Debug, PartialEq)]
struct Plain;

#[aggregate]
struct Foo {
    bar: String,
    plain: Option<Plain>,
}

fn main() {}
