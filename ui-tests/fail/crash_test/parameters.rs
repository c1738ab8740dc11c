// A crash test takes no parameters.
#![allow(unused)]
use minos::prelude::*;

#[model]
struct Count {}

#[minos::crash_test(service())]
fn a_counter_is_made_once(times: u32) -> Count {
    Count {}
}

fn main() {}
