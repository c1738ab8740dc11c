// Nobody waits for the readers of an event.
#![allow(unused)]
use minos::prelude::*;

#[contract(event, reply = Uuid)]
struct OrderPaid {
    id: Uuid,
}

fn main() {}
