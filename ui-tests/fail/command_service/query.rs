// Queries are answered by query services.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::query("GetFoo")]
    async fn get(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
