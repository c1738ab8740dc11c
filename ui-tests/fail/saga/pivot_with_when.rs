// The point of no return is not conditional.
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
    #[step(pivot, when = is_open)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn is_open(&self) -> bool {
        self.id.is_nil()
    }
}

fn main() {}
