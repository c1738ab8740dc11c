// An enroute that is nearly right is named.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::comand("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
