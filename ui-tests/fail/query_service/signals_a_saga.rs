// Nor does it tell a saga anything, or start one by a key.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct Charge {
    user: Uuid,
}

#[model]
struct Order {
    user: Uuid,
}

#[saga]
impl Order {
    #[step(no_compensation = "nothing is charged yet")]
    fn charge(&self) -> Charge {
        Charge { user: self.user }
    }

    #[step(signal)]
    fn charged(&mut self, charged: Charge) -> Verdict {
        Verdict::Continue
    }
}

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, cx: &Context) -> Result<()> {
        let user = Uuid::nil();
        let accepted = cx.start_once("key", Order { user }).await?;
        cx.signal(accepted.0, Charge { user })
    }
}

fn main() {}
