// A query service answers queries and keeps views; what looks like an effect of its context but is none is fine.
use minos::prelude::*;

minos::service!("ui");

#[contract(query, reply = Vec<FooView>)]
pub struct GetFoo {
    pub id: Uuid,
}

#[read_model]
pub struct FooView {
    #[key]
    uuid: Uuid,
    bar: String,
}

#[aggregate_ref]
pub struct Foo {
    pub bar: String,
}

/// Has methods that are called like the effects of a context.
pub struct Channel;

impl Channel {
    fn send(&self, _: u8) {}
}

#[derive(Default)]
pub struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::query(GetFoo)]
    #[enroute::rest::query("/foos/{id}", "GET")]
    #[enroute::rest::query("/", "GET")]
    async fn get(&self, cx: &Context) -> Result<Vec<FooView>> {
        FooView::list(cx, 10).await
    }

    #[enroute::broker::query("Names")]
    async fn names(cx: &Context) -> Result<Vec<String>> {
        Ok(vec![cx.service().to_owned()])
    }

    #[enroute::broker::event("FooCreated")]
    async fn created(&self, cx: &Context, event: Request<Created<Foo>>) -> Result<()> {
        let channel = Channel;
        channel.send(1);
        let event = event.into_content();
        let row = FooView {
            uuid: event.uuid(),
            bar: event.state.bar,
        };
        FooView::upsert(cx, &row)
    }
}

fn main() {
    assert_eq!(service().routes().len(), 5);
}
