// The method itself reads the signal.
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
    #[step(signal, on_success = late)]
    fn approved(&mut self, decision: Approve) -> Verdict {
        Verdict::Continue
    }

    fn late(&mut self) -> Verdict {
        Verdict::Compensate
    }
}

fn main() {}
