// An aggregate has one name, so no generics.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo<T> {
    bar: T,
}

fn main() {}
