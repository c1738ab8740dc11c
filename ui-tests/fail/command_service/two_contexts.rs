// A handler has one context.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, cx: &Context, text: &str) -> Result<()> {
        Ok(())
    }
}

fn main() {}
