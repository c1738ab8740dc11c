// What a step sends is answered.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(event)]
struct OrderPaid {
    id: Uuid,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step]
    fn tell(&self) -> OrderPaid {
        OrderPaid { id: self.id }
    }
}

fn main() {}
