// A topic is letters, digits, `.`, `-`, and `_`.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("Create Foo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
