// The handler takes what the event carries.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate_ref]
struct Foo {
    bar: String,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, event: Request<Updated<Foo>>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
