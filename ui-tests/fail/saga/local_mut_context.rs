// The context is shared.
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
    async fn prepare(&mut self, cx: &mut Context) {
        self.id = cx.new_uuid();
    }
}

fn main() {}
