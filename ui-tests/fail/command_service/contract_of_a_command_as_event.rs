// An event is bound by the contract of an event.
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
    #[enroute::broker::event(CreateFoo)]
    async fn create(&self, request: Request<CreateFoo>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
