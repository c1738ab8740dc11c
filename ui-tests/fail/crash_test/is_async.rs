// A crash test is not async.
#![allow(unused)]
use minos::prelude::*;

#[model]
struct Count {}

#[minos::crash_test(service())]
async fn a_counter_is_made_once() -> Count {
    Count {}
}

fn main() {}
