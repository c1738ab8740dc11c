// A reference points to an aggregate.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Plain {
    text: String,
}

#[aggregate]
struct Foo {
    plain: Ref<Plain>,
}

fn main() {}
