// A field is called like the aggregate's.
#![allow(unused)]
use minos::prelude::*;

#[aggregate_ref]
struct Foo {
    #[serde(rename = "baz")]
    bar: String,
}

fn main() {}
