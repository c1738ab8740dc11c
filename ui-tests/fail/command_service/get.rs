// A `GET` changes nothing.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/foos", "GET")]
    async fn list(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
