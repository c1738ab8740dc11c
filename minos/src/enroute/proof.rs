//! Questions that generated code asks rustc, so that the answer comes in our words at the user's types.

use std::{future::Future, marker::PhantomData};

use super::{BoxFuture, Door, Outcome, Request};
use crate::{
    aggregate::{Created, Deleted, Subject, Updated},
    error::Result,
    message::Contract,
};

/// The door of a command.
#[must_use]
pub const fn command(topic: &'static str) -> Door {
    Door::Command { topic }
}

/// The door of a query.
#[must_use]
pub const fn query(topic: &'static str) -> Door {
    Door::Query { topic }
}

/// The door of an event.
#[must_use]
pub const fn event(topic: &'static str, name: &'static str) -> Door {
    Door::Event {
        topic,
        name,
        field: None,
    }
}

/// The door of a change of one field.
#[must_use]
pub const fn event_of_field(topic: &'static str, name: &'static str, field: &'static str) -> Door {
    Door::Event {
        topic,
        name,
        field: Some(field),
    }
}

/// The door of an HTTP request.
#[must_use]
pub const fn http(verb: &'static str, path: &'static str) -> Door {
    Door::Http { verb, path }
}

/// The contract of a command. `#[contract]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the contract of a command",
    label = "not a command",
    note = "add `#[contract]` to `{Self}`, or write the topic as a literal: `command(\"..\")`"
)]
pub trait IsCommand: Contract {}

/// The contract of a query. `#[contract(query)]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the contract of a query",
    label = "not a query",
    note = "add `#[contract(query)]` to `{Self}`, or write the topic as a literal: `query(\"..\")`"
)]
pub trait IsQuery: Contract {}

/// The contract of an event. `#[contract(event)]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the contract of an event",
    label = "not an event",
    note = "add `#[contract(event)]` to `{Self}`, or name an event of an aggregate: `event(\"FooCreated\")`"
)]
pub trait IsEvent: Contract {}

/// What a contract `C` promises, to be held against a handler: the reply `R` and the error `E`.
///
/// The promises are parameters of their own, so that a type which is no contract is one error and not four.
#[derive(Debug)]
pub struct Terms<C, R, E>(PhantomData<(C, R, E)>);

/// The terms of a command, if `name` is its name.
#[must_use]
#[track_caller]
pub const fn command_terms<C: IsCommand>(name: &str) -> Terms<C, C::Reply, C::Error> {
    named::<C>(name);
    Terms(PhantomData)
}

/// The terms of a query, if `name` is its name.
#[must_use]
#[track_caller]
pub const fn query_terms<C: IsQuery>(name: &str) -> Terms<C, C::Reply, C::Error> {
    named::<C>(name);
    Terms(PhantomData)
}

/// The terms of an event, if `name` is its name.
#[must_use]
#[track_caller]
pub const fn event_terms<C: IsEvent>(name: &str) -> Terms<C, C::Reply, C::Error> {
    named::<C>(name);
    Terms(PhantomData)
}

impl<C, R, E> Terms<C, R, E> {
    /// The handler takes the contract's content.
    #[must_use]
    pub const fn takes<Q: Takes<C>>(self) -> Self {
        self
    }

    /// The handler answers the contract's reply, and refuses with its error.
    #[must_use]
    pub const fn answers<O: Outcome>(self) -> Self
    where
        O::Ok: Answers<R>,
        O::Err: Refuses<E>,
    {
        self
    }

    /// All was asked.
    pub const fn hold(self) {}
}

/// Takes the content of the contract `C`.
#[diagnostic::on_unimplemented(
    message = "the handler of contract `{C}` takes `{Self}`",
    label = "expected `Request<{C}>`"
)]
pub trait Takes<C> {}
impl<C, P> Takes<C> for Request<C, P> {}

/// Is the promised reply.
#[diagnostic::on_unimplemented(
    message = "the contract promises the reply `{Expected}`, this handler answers `{Self}`",
    label = "expected `Result<{Expected}, ..>`",
    note = "change the handler, or `reply = ..` of the contract"
)]
pub trait Answers<Expected> {}
impl<T> Answers<T> for T {}

/// Is the promised error.
#[diagnostic::on_unimplemented(
    message = "the contract promises the error `{Expected}`, this handler refuses with `{Self}`",
    label = "expected `Result<.., Error<{Expected}>>`",
    note = "change the handler, or `error = ..` of the contract"
)]
pub trait Refuses<Expected> {}
impl<T> Refuses<T> for T {}

/// Fails to compile where a contract's wire name is not the one that the macro took from its type.
#[allow(clippy::panic, reason = "evaluated by the compiler")]
#[track_caller]
const fn named<C: Contract>(name: &str) {
    if !same(C::NAME, name) {
        let text = Text::of("the name of this contract is `")
            .and(C::NAME)
            .and("`, not `")
            .and(name)
            .and("`: write `\"")
            .and(C::NAME)
            .and("\" = ..` before its type");
        panic!("{}", text.as_str());
    }
}

/// A text that is put together while the compiler evaluates it.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    const fn of(text: &str) -> Self {
        let empty = Self {
            bytes: [0; 512],
            len: 0,
        };
        empty.and(text)
    }

    /// Appends a text; what is too long is left out.
    const fn and(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        if self.len + text.len() > self.bytes.len() {
            return self;
        }
        let mut i = 0;
        while i < text.len() {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "two names that should be one differ",
        }
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// `FooCreated`.
#[derive(Debug)]
pub enum OnCreated {}
/// `FooUpdated`.
#[derive(Debug)]
pub enum OnUpdated {}
/// `FooDeleted`.
#[derive(Debug)]
pub enum OnDeleted {}

/// What the handler of an aggregate's event may take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit this event",
    label = "not what the event carries",
    note = "`FooCreated` carries `Created<Foo>`, `FooUpdated` carries `Updated<Foo>`, `FooDeleted` carries `Deleted<Foo>`"
)]
pub trait Hears<Event> {
    /// The aggregate that the type names, if it names one.
    const AGGREGATE: Option<&'static str> = None;
    /// The aggregate's fields, if they are known.
    const FIELDS: &'static [&'static str] = &[];
}

macro_rules! hears {
    ($($on:ident $event:ident),*) => { $(
        #[diagnostic::do_not_recommend]
        impl<A: Subject, P> Hears<$on> for Request<$event<A>, P> {
            const AGGREGATE: Option<&'static str> = Some(A::NAME);
            const FIELDS: &'static [&'static str] = A::FIELDS;
        }
    )* };
}
hears!(OnCreated Created, OnUpdated Updated, OnDeleted Deleted);
#[diagnostic::do_not_recommend]
impl<Event, P> Hears<Event> for Request<(), P> {}

/// The handler reads this event of this aggregate.
#[allow(clippy::panic, reason = "evaluated by the compiler")]
#[track_caller]
pub const fn hears<R: Hears<Event>, Event>(aggregate: &str) {
    if let Some(name) = R::AGGREGATE
        && !same(name, aggregate)
    {
        let text = Text::of("the event is one of `")
            .and(aggregate)
            .and("`, the handler takes one of `")
            .and(name)
            .and("`");
        panic!("{}", text.as_str());
    }
}

/// The aggregate has the field whose changes the handler reads.
#[allow(clippy::panic, reason = "evaluated by the compiler")]
#[track_caller]
pub const fn hears_field<R: Hears<OnUpdated>>(field: &str) {
    let mut text = Text::of("there is no field `").and(field).and("`, only");
    let mut i = 0;
    while i < R::FIELDS.len() {
        if same(R::FIELDS[i], field) {
            return;
        }
        text = text.and(if i == 0 { " `" } else { ", `" });
        text = text.and(R::FIELDS[i]).and("`");
        i += 1;
    }
    if i > 0 {
        panic!("{}", text.as_str());
    }
}

/// What a constructor may return.
#[diagnostic::on_unimplemented(
    message = "a constructor cannot return `{Self}`",
    label = "expected `Result<Self>`",
    note = "write `#[construct] async fn new(resources: &Resources) -> Result<Self>`"
)]
pub trait Built<S>: Send {
    /// The service.
    fn built(self) -> Result<S>;
}

impl<S: Send> Built<S> for Result<S> {
    fn built(self) -> Result<S> {
        self
    }
}

/// Builds a service by its constructor.
pub fn construct<'a, S, O, F>(constructor: F) -> BoxFuture<'a, Result<S>>
where
    O: Built<S> + 'a,
    F: Future<Output = O> + Send + 'a,
{
    Box::pin(async move { constructor.await.built() })
}
