// A wait can end in "no".
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct DeleteFoo {
    id: Uuid,
}

#[contract]
struct Approve {
    yes: bool,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(signal)]
    fn approved(&mut self, decision: Approve) -> Verdict {
        Verdict::Continue
    }
}

fn main() {}
