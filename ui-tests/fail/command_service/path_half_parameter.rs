// A parameter is a whole segment.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/foos/x{id}", "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
