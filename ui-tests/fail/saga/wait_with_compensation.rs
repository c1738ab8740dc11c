// A step that waits changes nothing.
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
    #[step(signal, compensate = undo)]
    fn approved(&mut self, decision: Approve) -> Verdict {
        Verdict::Continue
    }

    fn undo(&self, cx: &Context) {}
}

fn main() {}
