// What a saga did is undone like what a command did.
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
    #[step(ignore_reply = "a test")]
    fn refund(&self) -> Refund {
        Refund { id: self.id }
    }

    #[step]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

#[model]
struct Refund {
    id: Uuid,
}

#[saga]
impl Refund {
    #[step]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
