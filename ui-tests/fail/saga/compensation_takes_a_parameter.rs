// What undoes a step is a step, too.
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
    #[step(compensate = restore)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn restore(&self, id: Uuid) -> DeleteFoo {
        DeleteFoo { id }
    }
}

fn main() {}
