// All mistakes of one block are reported at once.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(event)]
struct Done {}

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, cx: &Context) -> Result<()> {
        cx.publish(Done {})?;
        cx.schedule(cx.now(), Done {})
    }

    #[enroute::rest::command("/foos", "POST")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::query("")]
    #[enroute::rest::query("/foos/", "GET")]
    async fn get(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
