// A condition says yes or no.
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
    #[step(when = is_open)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn is_open(&self) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
