// A step sends one type of message.
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
    #[step]
    fn delete<T>(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
