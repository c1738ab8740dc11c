// An event says what happened to which aggregate.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::event("FooChanged")]
    async fn changed(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
