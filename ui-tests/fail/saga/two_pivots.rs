// A saga has one pivot.
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
    #[step(pivot)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(pivot)]
    fn delete_again(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
