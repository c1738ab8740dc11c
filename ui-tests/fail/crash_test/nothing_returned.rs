// A crash test returns the saga.
#![allow(unused)]
use minos::prelude::*;

#[minos::crash_test(service())]
fn a_counter_is_made_once() {}

fn main() {}
