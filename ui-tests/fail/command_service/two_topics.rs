// An enroute has one topic.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo", "DeleteFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
