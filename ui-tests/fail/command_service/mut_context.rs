// The context is shared.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, cx: &mut Context) -> Result<()> {
        Ok(())
    }
}

fn main() {}
