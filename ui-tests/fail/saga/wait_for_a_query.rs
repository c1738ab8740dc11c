// A query tells nothing.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(query, reply = FooCreated)]
struct GetFoo {
    id: Uuid,
}

#[model]
struct FooCreated {
    id: Uuid,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(signal)]
    fn asked(&mut self, question: GetFoo) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
