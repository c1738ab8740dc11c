//! The service `foo`: its aggregate, its commands, its views, and the saga that gives a foo a foobar.

mod aggregate;
mod command;
mod query;
mod saga;

pub use self::{
    aggregate::{Foo, FooBar, FooDiff},
    command::{CreateFoo, FooCommandService, FooId, FooPath, UpdateFoo},
    query::{BarChange, BarHistory, FooBarText, FooQueryService, FooView},
    saga::{AddFooBar, FooError},
};

minos::service!("foo");
