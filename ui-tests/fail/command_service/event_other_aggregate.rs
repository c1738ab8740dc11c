// The handler takes the event of the aggregate that the event names.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate_ref]
struct Bar {
    bar: String,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, event: Request<Created<Bar>>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
