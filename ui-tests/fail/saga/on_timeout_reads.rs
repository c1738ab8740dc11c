// Nobody answered: there is nothing to read.
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
    #[step(timeout = "5s", on_timeout = late)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn late(&mut self, reply: Uuid) -> Verdict {
        Verdict::Compensate
    }
}

fn main() {}
