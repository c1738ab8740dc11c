// A choice of one branch beside another is a typing error.
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
    #[step(choice = wrapping, when = is_gift, no_compensation = "a test")]
    fn gift(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = wrapping, when = is_big, no_compensation = "a test")]
    fn big(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = wraping)]
    fn other(&self) -> DeleteFoo {
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
