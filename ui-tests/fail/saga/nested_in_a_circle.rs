// Sagas that start each other never end.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(ignore_reply = "a test")]
    fn refund(&self) -> Refund {
        Refund { id: self.id }
    }
}

#[model]
struct Refund {
    id: Uuid,
}

#[saga]
impl Refund {
    #[step(ignore_reply = "a test")]
    fn order(&self) -> Order {
        Order { id: self.id }
    }
}

fn main() {}
