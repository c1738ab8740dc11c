// What a step sends is a contract.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Plain {
    id: Uuid,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step]
    fn delete(&self) -> Plain {
        Plain { id: self.id }
    }

    #[step]
    fn delete_again(&self) -> Plain {
        Plain { id: self.id }
    }
}

fn main() {}
