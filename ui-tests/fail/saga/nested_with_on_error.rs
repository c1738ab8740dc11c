// A saga refuses nothing.
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
    #[step(ignore_reply = "a test", on_error = refused)]
    fn refund(&self) -> Refund {
        Refund { id: self.id }
    }

    fn refused(&mut self) -> Verdict {
        Verdict::Compensate
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
