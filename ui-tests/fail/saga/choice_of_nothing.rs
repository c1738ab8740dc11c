// A choice has a name.
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
    #[step(choice, when = is_gift)]
    fn gift(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn is_gift(&self) -> bool {
        self.id.is_nil()
    }
}

fn main() {}
