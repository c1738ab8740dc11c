// What a step sends comes from the state.
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
    fn delete(&self, id: Uuid) -> DeleteFoo {
        DeleteFoo { id }
    }
}

fn main() {}
