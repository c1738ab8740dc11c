// A topic that is a type is a contract.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Plain {
    text: String,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command(Plain)]
    async fn create(&self, request: Request<Plain>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
