// A parameter by value is the request.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, text: String) -> Result<()> {
        Ok(())
    }
}

fn main() {}
