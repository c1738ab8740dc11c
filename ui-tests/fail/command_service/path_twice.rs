// A verb and a path have one handler, whatever the parameters are called.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::rest::command("/foos/{uuid}", "PUT")]
    async fn put(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::rest::command("/foos/{id}", "PUT")]
    async fn put_again(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
