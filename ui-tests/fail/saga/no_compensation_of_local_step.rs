// A local step is undone if a later one fails.
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
    #[step]
    async fn prepare(&mut self, cx: &Context) -> Result<()> {
        self.id = cx.new_uuid();
        Ok(())
    }

    #[step]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }
}

fn main() {}
