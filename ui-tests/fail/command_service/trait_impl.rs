// Handlers stand in an inherent impl block.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

trait Creates {
    async fn create(&self) -> Result<()>;
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Creates for Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
