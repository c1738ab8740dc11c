// A service has no generics.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Foos<T>(T);

#[command_service]
impl<T: Default> Foos<T> {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
