// Query parameters are read, not routed by.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/foos?kind=a", "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
