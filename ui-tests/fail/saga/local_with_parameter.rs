// A local step takes the context alone.
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
    async fn prepare(&mut self, cx: &Context, id: Uuid) {
        self.id = id;
    }
}

fn main() {}
