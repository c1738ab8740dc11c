//! One handler method behind one attribute.

use std::{fmt, future::Future, pin::Pin};

use super::{Answer, FromRaw, Outcome, Raw};
use crate::context::Context;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whether a handler may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It belongs to a command service.
    Command,
    /// It belongs to a query service: it keeps views and answers questions, so that it can be repeated.
    Query,
}

/// Through which door a handler is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A command from the broker.
    Command {
        /// The command's name.
        topic: &'static str,
    },
    /// A query from the broker.
    Query {
        /// The query's name.
        topic: &'static str,
    },
    /// An event, from the own log or from the broker.
    Event {
        /// The aggregate's name.
        topic: &'static str,
        /// The event's name, such as `FooUpdated`.
        name: &'static str,
        /// Only if this field changed.
        field: Option<&'static str>,
    },
    /// An HTTP request.
    Http {
        /// The verb, such as `POST`.
        verb: &'static str,
        /// The path, such as `/foos/{uuid}`.
        path: &'static str,
    },
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Door::Command { topic } => write!(f, "broker::command `{topic}`"),
            Door::Query { topic } => write!(f, "broker::query `{topic}`"),
            Door::Event {
                name, field: None, ..
            } => write!(f, "broker::event `{name}`"),
            Door::Event {
                name,
                field: Some(field),
                ..
            } => write!(f, "broker::event `{name}.{field}`"),
            Door::Http { verb, path } => write!(f, "`{verb} {path}`"),
        }
    }
}

/// Where a handler stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The method.
    pub handler: &'static str,
    /// The file.
    pub file: &'static str,
    /// The line.
    pub line: u32,
}

impl At {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(handler: &'static str, file: &'static str, line: u32) -> Self {
        Self {
            handler,
            file,
            line,
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is known of a handler without its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// Through which door it is called.
    pub door: Door,
    /// Where it stands.
    pub at: At,
}

/// The function behind a route.
pub type Call<S> = for<'a> fn(&'a S, &'a Context, &'a Raw) -> BoxFuture<'a, Answer>;

/// One attribute of one handler of the service `S`.
#[derive(Debug)]
pub struct Route<S: 'static> {
    /// What is known of it.
    pub info: RouteInfo,
    /// How it is called.
    pub call: Call<S>,
}

impl<S> Route<S> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(door: Door, at: At, call: Call<S>) -> Self {
        Self {
            info: RouteInfo { door, at },
            call,
        }
    }
}

/// The one function that all handlers go through: decode, call, answer.
pub fn handle<'a, R, O, F>(
    raw: &'a Raw,
    f: impl FnOnce(R) -> F + Send + 'a,
) -> BoxFuture<'a, Answer>
where
    R: FromRaw + 'a,
    O: Outcome + 'a,
    F: Future<Output = O> + Send + 'a,
{
    Box::pin(async move {
        match R::read(raw) {
            Ok(request) => f(request).await.answer(),
            Err(e) => Answer::Failed(e.into_failure()),
        }
    })
}
