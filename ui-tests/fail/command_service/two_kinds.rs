// A handler has one kind.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    #[enroute::broker::event("FooCreated")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
