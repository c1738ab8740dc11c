// A contract is a command, a query, or an event.
#![allow(unused)]
use minos::prelude::*;

#[contract(query, event)]
struct OrderPaid {
    id: Uuid,
}

fn main() {}
