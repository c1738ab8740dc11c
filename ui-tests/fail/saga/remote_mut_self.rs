// A remote step only says what to send.
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
    fn delete(&mut self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
