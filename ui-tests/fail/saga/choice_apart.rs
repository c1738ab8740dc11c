// The branches of a choice stand together.
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

    #[step(no_compensation = "a test")]
    fn between(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = way, when = is_late)]
    fn late(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn is_gift(&self) -> bool {
        self.id.is_nil()
    }

    fn is_late(&self) -> bool {
        self.id.is_nil()
    }
}

fn main() {}
