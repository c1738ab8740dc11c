// A handler takes one type of message.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create<T>(&self, request: Request<T>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
