//! `#[command_service]` and `#[query_service]`: handlers on the methods of an impl block.

mod attribute;
mod check;
pub(crate) mod claim;
mod effects;
mod expand;
mod parse;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Ident, Path, Type};

use crate::{
    diag::Diagnostics,
    syntax::{self, EventName, ImplBlock},
};

/// Which of the two attributes this is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Service {
    Command,
    Query,
}

impl Service {
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Service::Command => "command_service",
            Service::Query => "query_service",
        }
    }
}

/// What a handler is for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Command,
    Query,
    Event,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Command => "command",
            Kind::Query => "query",
            Kind::Event => "event",
        }
    }
}

/// One enroute attribute as written: `..::enroute::<family>::<kind>`.
struct Enroute {
    path: Path,
    /// Such as `broker::command`.
    name: &'static str,
    kind: Kind,
    door: Door,
    /// The literal or the contract that names the door.
    span: Span,
}

/// Through which door the handler is called.
enum Door {
    /// A command, query, or event that has a name of its own.
    Topic {
        name: String,
        contract: Option<Path>,
    },
    /// An event of an aggregate.
    Aggregate(EventName),
    Http {
        verb: String,
        path: String,
    },
}

/// One method with enroute attributes, in a shape that can be called.
struct Handler {
    ident: Ident,
    cfgs: Vec<Attribute>,
    receiver: bool,
    /// The parameters behind the receiver, in their order.
    inputs: Vec<Input>,
    /// What it answers, where it says so.
    output: Option<Type>,
    enroutes: Vec<Enroute>,
}

/// One parameter: behind a reference it is the context, by value the request.
enum Input {
    Context(Type),
    Request(Type),
}

impl Handler {
    fn request(&self) -> Option<&Type> {
        self.inputs.iter().find_map(|input| match input {
            Input::Request(ty) => Some(ty),
            Input::Context(_) => None,
        })
    }
}

/// The method that builds the service.
struct Construct {
    ident: Ident,
    /// Whether it takes the resources.
    resources: bool,
    output: Option<Type>,
}

/// A whole impl block.
struct Model {
    service: Service,
    self_ty: Type,
    handlers: Vec<Handler>,
    construct: Option<Construct>,
}

pub(crate) fn service(
    service: Service,
    args: &TokenStream,
    item: &TokenStream,
    diag: &mut Diagnostics,
) -> TokenStream {
    let attribute = service.attribute();
    crate::data::no_arguments(args, attribute, diag);
    let Some(mut block) = ImplBlock::parse(item, diag) else {
        wrong_item(service, item, diag);
        return item.clone();
    };
    let fits = check::check_block(service, &block, diag);
    let model = parse::parse(service, &mut block, diag);
    if !fits {
        return quote!(#block);
    }
    let expansion = expand::expand(&model);
    quote!(#block #expansion)
}

fn wrong_item(service: Service, item: &TokenStream, diag: &mut Diagnostics) {
    let attribute = service.attribute();
    // Without a word for it the item is one that rustc refused already.
    if let Some((token, what)) = syntax::item_kind(item)
        && what != "an `impl` block"
    {
        diag.error(
            token.span(),
            format_args!("`#[{attribute}]` goes on an `impl` block, found {what}"),
        )
        .help(format_args!(
            "write `#[{attribute}] impl YourService {{ .. }}` around the handlers"
        ));
    }
}
