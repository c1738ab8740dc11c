// `minos::main` goes on `main`.
#![allow(unused)]
use minos::prelude::*;

#[minos::main]
struct Start;

fn main() {}
