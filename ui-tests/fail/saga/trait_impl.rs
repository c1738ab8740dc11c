// Steps stand in an inherent impl block.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

trait Flow {
    fn prepare(&self, cx: &Context);
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Flow for Order {
    #[step]
    fn prepare(&self, cx: &Context) {}
}

fn main() {}
