// A step is undone if a later one fails.
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
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step]
    fn delete_again(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
