// A parameter by value needs its key.
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
    #[step(timeout = "3d")]
    fn approved(&mut self, decision: Approve) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
