// All mistakes of one block are reported at once, and none of them hides rustc's own.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::comand("CreateFoo")]
    async fn create(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::command("Delete Foo")]
    async fn delete(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::rest::command("foos", "get")]
    fn get(&mut self, one: Request<()>, two: Request<()>) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::command("Count")]
    async fn count(&self) -> u64 {
        let count: u64 = "one";
        count
    }
}

fn main() {}
