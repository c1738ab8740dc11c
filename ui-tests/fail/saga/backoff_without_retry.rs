// A pause stands before a repetition.
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
    #[step(backoff = "1m")]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
