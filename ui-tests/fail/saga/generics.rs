// A saga has one name, so no generics.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

struct Order<T>(T);

#[saga]
impl<T> Order<T> {
    #[step]
    async fn prepare(&mut self, cx: &Context) {}
}

fn main() {}
