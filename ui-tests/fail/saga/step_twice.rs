// A step is marked once.
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
    #[step(retry = 3)]
    #[step(timeout = "5s")]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
