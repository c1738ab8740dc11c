// All mistakes of one item are reported at once.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[aggregate(events = FooEvent)]
#[serde(rename_all = "camelCase")]
struct Foo {
    #[unique(ignore_case)]
    bar: String,
    uuid: Uuid,
    #[serde(flatten)]
    updated_at: DateTime<Utc>,
}

fn main() {}
