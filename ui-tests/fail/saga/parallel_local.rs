// A local step runs at once with nothing.
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
    #[step(parallel = booking, no_compensation = "a test")]
    fn one(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(parallel = booking, no_compensation = "a test")]
    async fn two(&mut self, cx: &Context) -> Result<()> {
        self.id = cx.new_uuid();
        Ok(())
    }
}

fn main() {}
