// After the pivot nothing is undone.
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
    #[step(pivot)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(compensate = restore)]
    fn delete_again(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    async fn restore(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }
}

fn main() {}
