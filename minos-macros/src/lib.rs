//! The attribute macros of `minos`. Use them through `minos`.
//!
//! Each is a small compiler: it parses its item into a model, checks all of it, and writes data and thin calls into
//! `minos::__private`. With `MINOS_MACROS_DEBUG=1` in the environment every expansion is printed.

mod aggregate;
mod crash_test;
mod data;
mod diag;
mod enroute;
mod entry;
mod entry_point;
mod misplaced;
mod saga;
mod syntax;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

use crate::{aggregate::Owner, enroute::Service, misplaced::Misplaced};

/// Entry points: each hands its arguments and its item to the function that knows.
macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident => $expand:expr;)*) => { $(
        $(#[$doc])*
        #[proc_macro_attribute]
        pub fn $name(args: TokenStream, item: TokenStream) -> TokenStream {
            let args = args.into();
            entry::run(&item.into(), |item, diag| $expand(&args, item, diag)).into()
        }
    )* };
}

attributes! {
    #[doc = include_str!("../docs/model.md")]
    model => data::model;
    #[doc = include_str!("../docs/contract.md")]
    contract => data::contract;
    #[doc = include_str!("../docs/error_model.md")]
    error_model => data::error_model;
    #[doc = include_str!("../docs/read_model.md")]
    read_model => data::read_model;
    #[doc = include_str!("../docs/aggregate.md")]
    aggregate => |args, item, diag| aggregate::aggregate(Owner::Us, args, item, diag);
    #[doc = include_str!("../docs/aggregate_ref.md")]
    aggregate_ref => |args, item, diag| aggregate::aggregate(Owner::Them, args, item, diag);
    #[doc = include_str!("../docs/command_service.md")]
    command_service => |args, item, diag| enroute::service(Service::Command, args, item, diag);
    #[doc = include_str!("../docs/query_service.md")]
    query_service => |args, item, diag| enroute::service(Service::Query, args, item, diag);
    #[doc = include_str!("../docs/saga.md")]
    saga => saga::saga;
    #[doc = include_str!("../docs/main.md")]
    main => entry_point::main;
    #[doc = include_str!("../docs/crash_test.md")]
    crash_test => crash_test::crash_test;
}

/// Entry points of attributes that another attribute reads.
macro_rules! misplaced {
    ($($name:ident $attribute:literal in $($home:literal),+;)*) => { $(
        #[doc = concat!("`#[", $attribute, "]` on a method", $(": see [`", $home, "`](macro@", $home, ")",)+ ".")]
        #[proc_macro_attribute]
        pub fn $name(_: TokenStream, item: TokenStream) -> TokenStream {
            let here = Misplaced { attribute: $attribute, homes: &[$($home),+] };
            entry::run(&item.into(), |item, diag| here.explain(item, diag)).into()
        }
    )* };
}

misplaced! {
    broker_command "enroute::broker::command" in "command_service";
    broker_query "enroute::broker::query" in "query_service";
    broker_event "enroute::broker::event" in "command_service", "query_service";
    rest_command "enroute::rest::command" in "command_service";
    rest_query "enroute::rest::query" in "query_service";
    construct "construct" in "command_service", "query_service";
    step "step" in "saga";
}
