// A constructor takes the resources.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[construct]
    async fn new(resources: &Resources, name: String) -> Result<Self> {
        Ok(Self)
    }

    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
