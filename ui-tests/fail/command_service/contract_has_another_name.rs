// A contract that is not named like its type is written with its name.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract("foo.create")]
struct CreateFoo {
    text: String,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command(CreateFoo)]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
