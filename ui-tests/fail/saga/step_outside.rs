// `step` belongs into a saga.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Order;

impl Order {
    #[step]
    async fn prepare(&mut self, cx: &Context) {}
}

fn main() {}
