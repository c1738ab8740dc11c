// An enroute is spelled with its path.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

use enroute::broker::command as cmd;

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }

    #[cmd("DeleteFoo")]
    async fn delete(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
