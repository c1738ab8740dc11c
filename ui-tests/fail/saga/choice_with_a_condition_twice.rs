// A condition that did not hold is not asked again.
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
    #[step(choice = way, when = is_gift, no_compensation = "a test")]
    fn gift(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = way, when = is_big, no_compensation = "a test")]
    fn big(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = way, when = is_gift)]
    fn again(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn is_gift(&self) -> bool {
        self.id.is_nil()
    }

    fn is_big(&self) -> bool {
        self.id.is_nil()
    }
}

fn main() {}
