// A query service has no effects.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct DeleteFoo {
    id: Uuid,
}

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, cx: &Context) -> Result<()> {
        cx.send(DeleteFoo { id: Uuid::nil() })
    }
}

fn main() {}
