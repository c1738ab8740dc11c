// A path has a verb.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/foos")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
