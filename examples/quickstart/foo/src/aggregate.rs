//! What the service keeps: every change of it is an event.

use minos::prelude::*;

/// A foo.
#[aggregate]
pub struct Foo {
    /// Any text.
    pub bar: String,
    /// A foobar of the other service; the saga `AddFooBar` sets it.
    pub foobar: Option<Ref<FooBar>>,
}

/// The fields of the other service's `FooBar` that this one cares about.
#[aggregate_ref]
pub struct FooBar {
    /// What it says.
    pub text: String,
}
