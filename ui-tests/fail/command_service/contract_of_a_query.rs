// A command is bound by the contract of a command.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(query)]
struct GetFoo {
    id: Uuid,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command(GetFoo)]
    async fn create(&self, request: Request<GetFoo>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
