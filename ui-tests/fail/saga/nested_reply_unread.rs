// The reply of a saga is its state.
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
    #[step]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
