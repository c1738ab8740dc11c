// A half-typed body is rustc's to explain.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, cx: &Context, request: Request<String>) -> Result<()> {
        let text = request.
        Ok(())
    }
}

fn main() {}
