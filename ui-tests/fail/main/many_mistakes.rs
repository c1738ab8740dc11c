// All mistakes of one item are reported at once.
#![allow(unused)]
use minos::prelude::*;

#[minos::main(flavor = "current_thread")]
fn start(arguments: Vec<String>) {}

fn main() {}
