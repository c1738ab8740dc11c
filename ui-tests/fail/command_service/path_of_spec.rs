// `/spec` belongs to minos.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/spec/foos", "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
