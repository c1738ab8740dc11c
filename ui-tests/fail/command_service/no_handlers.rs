// A service has handlers.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
