// An event is about a field that the aggregate has.
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
    #[enroute::broker::event("FooUpdated.baz")]
    async fn changed(&self, event: Request<Updated<Foo>>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
