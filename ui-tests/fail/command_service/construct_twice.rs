// A service has one constructor.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[construct]
    async fn new() -> Result<Self> {
        Ok(Self)
    }

    #[construct]
    async fn open() -> Result<Self> {
        Ok(Self)
    }

    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
