// Only an update has fields that changed.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::event("FooCreated.bar")]
    async fn changed(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
