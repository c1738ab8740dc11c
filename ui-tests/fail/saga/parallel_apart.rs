// The steps of a group stand together.
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
    #[step(parallel = booking, no_compensation = "a test")]
    fn one(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(parallel = booking, no_compensation = "a test")]
    fn two(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(no_compensation = "a test")]
    fn between(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(parallel = booking)]
    fn three(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
