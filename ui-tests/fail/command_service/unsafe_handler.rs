// A handler is safe.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async unsafe fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
