// A step that waits only reads.
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
    async fn approved(&mut self, decision: Approve) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
