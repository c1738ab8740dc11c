// A step is undone, or there is a reason.
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
    #[step(no_compensation = "it is gone", compensate = restore)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    async fn restore(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }
}

fn main() {}
