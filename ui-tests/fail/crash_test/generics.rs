// A crash test has no generics.
#![allow(unused)]
use minos::prelude::*;

#[minos::crash_test(service())]
fn a_counter_is_made_once<T>() -> u32 {
    1
}

fn main() {}
