// A group is a name.
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
    #[step(parallel = "booking")]
    fn one(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(parallel = booking)]
    fn two(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
