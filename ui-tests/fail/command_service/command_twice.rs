// A command has one handler in a service.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct CreateFoo {
    text: String,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::command(CreateFoo)]
    async fn create_again(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
