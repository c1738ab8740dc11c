// A crash test is a function.
#![allow(unused)]
use minos::prelude::*;

#[minos::crash_test(service())]
struct Count {}

fn main() {}
