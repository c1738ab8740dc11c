// A condition looks at the state alone.
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

    async fn is_open(&self) -> bool {
        true
    }
}

fn main() {}
