// `aggregate` takes no keys yet.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate(events = FooEvent)]
struct Foo {
    bar: String,
}

fn main() {}
