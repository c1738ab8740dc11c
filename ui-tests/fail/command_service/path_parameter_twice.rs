// A parameter has its own name.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/foos/{id}/bars/{id}", "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
