// All mistakes of one item are reported at once.
#![allow(unused)]
use minos::prelude::*;

#[contract("", event, error = Never, rply = Uuid, query)]
struct OrderPaid {
    id: Uuid,
}

fn main() {}
