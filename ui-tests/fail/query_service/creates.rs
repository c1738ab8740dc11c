// A query service changes no aggregate.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate]
struct Foo {
    bar: String,
}

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, cx: &Context) -> Result<()> {
        let mut foo = Foo::create(cx, Foo { bar: String::new() })?;
        foo.bar.push('x');
        foo.save(cx)?;
        foo.delete(cx)
    }
}

fn main() {}
