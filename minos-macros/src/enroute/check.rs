//! What a service and its handlers must not be, one function per rule.

use quote::ToTokens;
use syn::{FnArg, GenericParam, Receiver, Type, spanned::Spanned as _};

use super::{Enroute, Kind, Service};
use crate::{
    diag::Diagnostics,
    syntax::{ImplBlock, Method},
};

/// Whether handlers can be registered for this block at all.
pub(super) fn check_block(service: Service, block: &ImplBlock, diag: &mut Diagnostics) -> bool {
    let attribute = service.attribute();
    let before = diag.len();
    // #[command_service] impl Serves for Foo { .. }
    if let Some(of_trait) = &block.of_trait {
        diag.error_on(
            of_trait,
            format_args!(
                "`#[{attribute}]` goes on an inherent `impl` block, not on the impl of a trait"
            ),
        )
        .help("handlers are called by topic; move them to `impl YourService { .. }`");
    }
    // #[command_service] impl<T> Foo<T> { .. }
    if !block.generics.params.is_empty() {
        diag.error_on(&block.generics, "a service has no generics")
            .help("one value of a service is built per process; take what differs from `cx.resource::<T>()`");
    }
    diag.len() == before
}

// #[command_service] impl Foo {}
pub(super) fn no_handlers(service: Service, self_ty: &Type, diag: &mut Diagnostics) {
    let attribute = service.attribute();
    let example = match service {
        Service::Command => "command(\"CreateFoo\")",
        Service::Query => "query(\"GetFoo\")",
    };
    diag.error_on(
        self_ty,
        format_args!("no `enroute` methods in this `{attribute}`"),
    )
    .help(format_args!(
        "add `#[enroute::broker::{example}]` to a method, or remove `#[{attribute}]`"
    ));
}

// #[command_service] impl Foo { #[enroute::broker::query("A")] .. }
pub(super) fn check_fits_service(
    service: Service,
    enroutes: &[Enroute],
    method: &Method,
    diag: &mut Diagnostics,
) {
    for enroute in enroutes {
        let (other, reason) = match (service, enroute.kind) {
            (Service::Command, Kind::Query) => (
                Service::Query,
                "queries change nothing, and are answered by query services",
            ),
            (Service::Query, Kind::Command) => (
                Service::Command,
                "handlers of a query service are repeated when a view is rebuilt, so they change no aggregate",
            ),
            _ => continue,
        };
        let (name, attribute) = (enroute.name, service.attribute());
        diag.error_on(
            &enroute.path,
            format_args!("`{name}` does not fit a `{attribute}`: {reason}"),
        )
        .help(format_args!(
            "move `{}` to an impl block under `#[{}]`",
            method.name(),
            other.attribute()
        ));
    }
}

// #[enroute::broker::command("A")] #[enroute::broker::event("FooCreated")] async fn ..
pub(super) fn check_one_kind(enroutes: &[Enroute], diag: &mut Diagnostics) {
    let Some((first, more)) = enroutes.split_first() else {
        return;
    };
    if let Some(other) = more.iter().find(|e| e.kind != first.kind) {
        let article = |kind: Kind| match kind {
            Kind::Event => "an event",
            Kind::Command => "a command",
            Kind::Query => "a query",
        };
        diag.error_on(
            &other.path,
            format_args!(
                "a method cannot be the handler of both {} and {}",
                article(first.kind),
                article(other.kind)
            ),
        )
        .help(format_args!(
            "`{}` may be stacked with other `{}` enroutes; move `{}` to its own method",
            first.name,
            first.kind.word(),
            other.name
        ));
    }
}

// #[enroute::broker::command("A")] fn a() ..
pub(super) fn check_function(method: &Method, diag: &mut Diagnostics) {
    let (sig, name) = (&method.sig, method.name());
    if sig.asyncness.is_none() {
        diag.error(
            sig.fn_token.span,
            format_args!("handler `{name}` must be async"),
        )
        .help(format_args!("write `async fn {name}`"));
    }
    if !matches!(sig.safety, syn::Safety::Default) {
        diag.error_on(
            &sig.safety,
            format_args!("handler `{name}` cannot be unsafe"),
        )
        .help("minos calls it, and proves nothing about it");
    }
    let generic = |p: &&GenericParam| !matches!(p, GenericParam::Lifetime(_));
    if let Some(param) = sig.generics.params.iter().find(generic) {
        diag.error_on(param, format_args!("handler `{name}` cannot be generic"))
            .help("a message has one type; write it out");
    }
    for arg in &sig.inputs {
        if let FnArg::Typed(arg) = arg
            && let Type::ImplTrait(ty) = &*arg.ty
        {
            diag.error_on(ty, format_args!("handler `{name}` cannot be generic"))
                .help("a message has one type; write `Request<Content>`");
        }
    }
}

// async fn a(&mut self) ..
pub(super) fn wrong_receiver(receiver: &Receiver, diag: &mut Diagnostics) {
    let found = receiver.to_token_stream().to_string().replace("& ", "&");
    diag.error_on(
        receiver,
        format_args!("handlers take `&self`, not `{found}`"),
    )
    .help(
        "one service value is shared by all requests; keep state in aggregates, or behind a lock",
    );
}

// async fn a(cx: &Context, other: &Context) ..
pub(super) fn second_context(ty: &Type, diag: &mut Diagnostics) {
    diag.error_on(ty, "a handler has one context")
        .help("a parameter behind a reference is the context, one by value is the request");
}

// async fn a(cx: &mut Context) ..
pub(super) fn exclusive_context(ty: &Type, diag: &mut Diagnostics) {
    diag.error_on(ty, "a handler shares its context: it takes `&`, not `&mut`")
        .help("write `cx: &Context`");
}

// async fn a(one: Request<A>, two: Request<B>) ..
pub(super) fn second_request(ty: &Type, diag: &mut Diagnostics) {
    diag.error_on(ty, "a handler has one request").help(
        "write `request: Request<Content, Params>`: the second type reads the parameters of path and query",
    );
}

// #[construct] fn new(&self) -> Self
pub(super) fn check_construct(method: &Method, diag: &mut Diagnostics) {
    const FORM: &str = "write `#[construct] async fn new(resources: &Resources) -> Result<Self>`";
    let sig = &method.sig;
    if sig.asyncness.is_none() {
        diag.error(sig.fn_token.span, "a constructor must be async")
            .help(FORM);
    }
    let mut inputs = sig.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(this)) => {
            diag.error(this.span(), "a constructor takes no `self`: it makes it")
                .help(FORM);
        }
        Some(FnArg::Typed(arg)) if !matches!(&*arg.ty, Type::Reference(_)) => {
            diag.error_on(&arg.ty, "a constructor takes the resources by reference")
                .help(FORM);
        }
        _ => {
            if let Some(second) = inputs.next() {
                diag.error_on(second, "a constructor takes nothing but the resources")
                    .help("get the value with `resources.get::<T>()?`");
            }
        }
    }
}
