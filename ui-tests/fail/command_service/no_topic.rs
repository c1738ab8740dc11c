// An enroute of the broker has a topic.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
