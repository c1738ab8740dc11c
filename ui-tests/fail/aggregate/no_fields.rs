// An aggregate has fields.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo {}

fn main() {}
