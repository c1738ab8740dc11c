// A constructor is async.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[construct]
    fn new() -> Result<Self> {
        Ok(Self)
    }

    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
