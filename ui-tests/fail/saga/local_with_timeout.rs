// A local step runs in one unit of work.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(timeout = "5s")]
    async fn prepare(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }
}

fn main() {}
