// A step that waits says for what.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct DeleteFoo {
    id: Uuid,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(signal)]
    fn approved(&mut self) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
