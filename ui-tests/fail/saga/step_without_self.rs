// A step works on the state.
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
    fn delete() -> DeleteFoo {
        DeleteFoo { id: Uuid::nil() }
    }
}

fn main() {}
