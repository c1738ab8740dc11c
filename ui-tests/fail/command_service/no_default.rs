// Minos builds a service by `Default` or by its constructor.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Foos {
    name: String,
}

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self) -> Result<String> {
        Ok(self.name.clone())
    }
}

fn main() {}
