// A half-typed body is rustc's to explain.
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
        let id = self.
        DeleteFoo { id: self.id }
    }
}

fn main() {}
