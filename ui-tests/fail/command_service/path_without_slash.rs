// A path starts with `/`.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("foos", "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
