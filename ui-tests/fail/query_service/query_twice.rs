// A query has one handler in a service.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::query("GetFoo")]
    async fn get(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::query("GetFoo")]
    async fn get_again(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
