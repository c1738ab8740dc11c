// An enroute that will come says so.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::periodic::event("*/5 * * * *")]
    async fn tick(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
