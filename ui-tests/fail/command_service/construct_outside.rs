// `construct` belongs into a service.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Foos;

impl Foos {
    #[construct]
    async fn new() -> Result<Self> {
        Ok(Self)
    }
}

fn main() {}
