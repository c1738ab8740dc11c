// A saga that starts itself never ends, however it is spelled.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(ignore_reply = "a test")]
    fn again(&self) -> Self {
        self.clone()
    }
}

fn main() {}
