// A query is a `GET`.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::rest::query("/foos", "POST")]
    async fn find(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
