// One type has one block of handlers.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

#[query_service]
impl Foos {
    #[enroute::broker::query("GetFoo")]
    async fn get(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
