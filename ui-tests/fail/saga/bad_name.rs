// A stored name is a name.
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

#[saga(name = "")]
impl Order {
    #[step(name = "delete it")]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
