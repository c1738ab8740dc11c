// A running saga is found by the names of its steps.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(query)]
struct DeleteFoo {
    id: Uuid,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(name = "delete_again")]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step]
    fn delete_again(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
