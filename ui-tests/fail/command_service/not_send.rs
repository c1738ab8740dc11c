// What a handler holds over an await can move to another thread.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

use std::rc::Rc;

#[aggregate]
struct Foo {
    bar: String,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("CreateFoo")]
    async fn create(&self, cx: &Context) -> Result<()> {
        let count = Rc::new(1);
        let foo = Foo::get(cx, Uuid::nil()).await?;
        drop((count, foo));
        Ok(())
    }
}

fn main() {}
