// The services are expressions.
#![allow(unused)]
use minos::prelude::*;

#[model]
struct Count {}

#[minos::crash_test(service() other())]
fn a_counter_is_made_once() -> Count {
    Count {}
}

fn main() {}
