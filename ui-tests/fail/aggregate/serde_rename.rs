// A field has one name, in events and in conditions.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo {
    #[serde(rename = "baz")]
    bar: String,
}

fn main() {}
