// A saga that starts itself never ends.
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
    fn again(&self) -> Order {
        self.clone()
    }
}

fn main() {}
