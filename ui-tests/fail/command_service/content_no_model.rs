// The content of a request is a model.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Plain;

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, request: Request<Plain>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
