// A local step is never late.
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
    #[step(on_timeout = late)]
    async fn remember(&mut self, cx: &Context) -> Result<()> {
        self.id = cx.new_uuid();
        Ok(())
    }

    fn late(&mut self) -> Verdict {
        Verdict::Compensate
    }
}

fn main() {}
