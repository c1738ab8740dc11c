// A constructor is no handler.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[construct]
    #[enroute::broker::command("CreateFoo")]
    async fn create() -> Result<()> {
        Ok(())
    }
}

fn main() {}
