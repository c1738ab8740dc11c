// A query tells a saga nothing.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(query, reply = Foo)]
struct GetFoo {
    id: Uuid,
}

#[model]
struct Foo {
    id: Uuid,
}

async fn ask(cx: &Context, saga: SagaId) -> Result<()> {
    cx.signal(saga, GetFoo { id: saga.saga })
}

fn main() {}
