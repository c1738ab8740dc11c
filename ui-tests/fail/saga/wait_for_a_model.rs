// A signal is a contract.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

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
    fn created(&mut self, foo: FooCreated) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
