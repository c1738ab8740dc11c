// A topic is a text or a contract.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command(5)]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
