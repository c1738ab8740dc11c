//! The service `foobar`: it keeps foobars, no two of which say the same.

mod aggregate;
mod command;
mod query;

pub use self::{
    aggregate::{FooBar, FooBarDiff},
    command::FooBarCommandService,
    query::{FooBarPath, FooBarQueryService, FooBarView},
};

minos::service!("foobar");
