// A saga tells nothing.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(signal)]
    fn ordered(&mut self, order: Order) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
