// A signal is read by value.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct Approve {
    yes: bool,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(signal)]
    fn approved(&mut self, decision: &Approve) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
