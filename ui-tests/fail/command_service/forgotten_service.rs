// The crate of a handler says which service it is.
#![allow(unused)]
use minos::prelude::*;

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
