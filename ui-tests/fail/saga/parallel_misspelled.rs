// A group of one beside another is a typing error.
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

    #[step(parallel = bookng, no_compensation = "a test")]
    fn two(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(parallel = booking, no_compensation = "a test")]
    fn three(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
