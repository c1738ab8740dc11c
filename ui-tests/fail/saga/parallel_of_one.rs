// One step runs at once with nothing.
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
    #[step(parallel = deletes, no_compensation = "a test")]
    fn one(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step]
    fn two(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
