// A callback is a method of the saga; a near miss is suggested.
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
    #[step(timeout = "5s", on_timeout = lates)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn late(&mut self) -> Verdict {
        Verdict::Compensate
    }
}

fn main() {}
