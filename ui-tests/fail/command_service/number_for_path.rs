// A path is a text.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command(5, "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
