// An enroute belongs into a service.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Foos;

impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
