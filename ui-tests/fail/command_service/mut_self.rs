// A service is shared by all requests.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&mut self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
