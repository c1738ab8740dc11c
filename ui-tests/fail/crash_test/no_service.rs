// A crash test names the services that take part.
#![allow(unused)]
use minos::prelude::*;

#[model]
struct Count {}

#[minos::crash_test]
fn a_counter_is_made_once() -> Count {
    Count {}
}

fn main() {}
