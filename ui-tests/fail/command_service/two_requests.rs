// A handler has one request.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, one: Request<String>, two: Request<Uuid>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
