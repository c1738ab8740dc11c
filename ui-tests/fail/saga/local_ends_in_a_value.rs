// A local step ends well or refuses.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step]
    async fn prepare(&mut self, cx: &Context) -> Uuid {
        cx.new_uuid()
    }
}

fn main() {}
