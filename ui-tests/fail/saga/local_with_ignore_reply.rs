// Nobody answers a local step.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(ignore_reply = "why")]
    async fn prepare(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }
}

fn main() {}
