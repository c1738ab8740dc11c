// A service attribute goes on the impl block.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[command_service]
#[derive(Default)]
struct Foos;

fn main() {}
