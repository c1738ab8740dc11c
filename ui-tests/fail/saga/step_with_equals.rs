// A step takes its keys in parentheses.
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
    #[step = "delete"]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
