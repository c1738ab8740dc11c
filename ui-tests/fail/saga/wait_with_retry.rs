// A step that waits sends nothing.
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
    #[step(signal, retry = 3)]
    fn approved(&mut self, decision: Approve) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
