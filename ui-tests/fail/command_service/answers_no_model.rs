// A handler answers a model.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Plain;

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<Plain> {
        Ok(Plain)
    }
}

fn main() {}
