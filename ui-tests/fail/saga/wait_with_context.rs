// A step that waits is not local.
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
    fn approved(&mut self, decision: Approve, cx: &Context) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
