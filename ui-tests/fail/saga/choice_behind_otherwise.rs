// What stands behind the branch without a condition is never reached.
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

    #[step(choice = way, no_compensation = "a test")]
    fn other(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = way, when = is_big)]
    fn big(&self) -> DeleteFoo {
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
