//! What a method of a saga is, by its signature: nothing is guessed from names.

use syn::{FnArg, Ident, PatType, Receiver, Signature, Type, spanned::Spanned as _};

use super::{Callback, Local, Shape};
use crate::{
    diag::Diagnostics,
    syntax::{Method, Receives, receives},
};

/// The receiver and the other parameters.
fn inputs(sig: &Signature) -> (Option<&Receiver>, Vec<&PatType>) {
    let mut receiver = None;
    let mut others = Vec::new();
    for arg in &sig.inputs {
        match arg {
            FnArg::Receiver(this) => receiver = Some(this),
            FnArg::Typed(arg) => others.push(arg),
        }
    }
    (receiver, others)
}

pub(super) fn step(method: &Method, diag: &mut Diagnostics) -> Option<Shape> {
    action("step", method, diag)
}

pub(super) fn compensation(method: &Method, diag: &mut Diagnostics) -> Option<Shape> {
    action("compensation", method, diag)
}

fn action(what: &str, method: &Method, diag: &mut Diagnostics) -> Option<Shape> {
    let before = diag.len();
    let (receiver, others) = inputs(&method.sig);
    let name = method.name();
    check_plain(what, method, diag);
    let local = matches!(others.first(), Some(arg) if matches!(&*arg.ty, Type::Reference(_)));
    check_receiver(what, method, receiver, local, diag);
    let shape = match (others.first(), method.output()) {
        (Some(arg), output) if local => {
            check_context(&arg.ty, diag);
            if let Some(more) = others.get(1) {
                diag.error_on(
                    more,
                    format_args!("local {what} `{name}` takes nothing but the context"),
                )
                .help("what it needs is in the saga's state: `self`");
            }
            Some(Shape::Local(Box::new(Local {
                context: (*arg.ty).clone(),
                is_async: method.sig.asyncness.is_some(),
                output: output.cloned(),
            })))
        }
        (Some(arg), _) => {
            diag.error_on(arg, format_args!("{what} `{name}` takes only `&self`"))
                .help("what it sends comes from the saga's state; a reference, `cx: &Context`, makes it a local step");
            None
        }
        (None, Some(output)) => {
            check_remote_is_not_async(what, method, diag);
            Some(Shape::Remote(Box::new(output.clone())))
        }
        (None, None) => {
            diag.error(
                method.span(),
                format_args!("{what} `{name}` neither sends a contract nor takes `cx: &Context`"),
            )
            .help("return the contract to send, or add `cx: &Context` for a local step");
            None
        }
    };
    shape.filter(|_| diag.len() == before)
}

fn check_plain(what: &str, method: &Method, diag: &mut Diagnostics) {
    let (sig, name) = (&method.sig, method.name());
    let generic = |p: &&syn::GenericParam| !matches!(p, syn::GenericParam::Lifetime(_));
    if let Some(param) = sig.generics.params.iter().find(generic) {
        diag.error_on(param, format_args!("{what} `{name}` cannot be generic"))
            .help("a step sends one type of message; write it out");
    }
    if !matches!(sig.safety, syn::Safety::Default) {
        diag.error_on(
            &sig.safety,
            format_args!("{what} `{name}` cannot be unsafe"),
        )
        .help("minos calls it, and proves nothing about it");
    }
}

// #[step] fn a(self) -> CreateFoo
fn check_receiver(
    what: &str,
    method: &Method,
    receiver: Option<&Receiver>,
    local: bool,
    diag: &mut Diagnostics,
) {
    let name = method.name();
    let Some(receiver) = receiver else {
        diag.error(
            method.span(),
            format_args!("{what} `{name}` takes no `self`"),
        )
        .help("add `&self`: it works on the saga's state");
        return;
    };
    match receives(receiver) {
        Receives::Shared => {}
        Receives::Exclusive if local => {}
        Receives::Exclusive => {
            diag.error(
                receiver.span(),
                format_args!(
                    "{what} `{name}` sends something, so it takes `&self`, not `&mut self`"
                ),
            )
            .help("it may be asked again for the same message; change the state in `on_success`");
        }
        Receives::Value => {
            diag.error_on(
                receiver,
                format_args!("{what} `{name}` cannot take the state by value"),
            )
            .help("write `&self`");
        }
    }
}

// #[step] fn a(&self, cx: &mut Context)
fn check_context(ty: &Type, diag: &mut Diagnostics) {
    if let Type::Reference(reference) = ty
        && reference.mutability.is_some()
    {
        diag.error_on(ty, "a step shares its context: it takes `&`, not `&mut`")
            .help("write `cx: &Context`");
    }
}

// #[step] async fn a(&self) -> CreateFoo
fn check_remote_is_not_async(what: &str, method: &Method, diag: &mut Diagnostics) {
    if let Some(asyncness) = &method.sig.asyncness {
        let name = method.name();
        diag.error(
            asyncness.span,
            format_args!("{what} `{name}` sends something, so it is not async"),
        )
        .help("remove `async`: it only says what to send; look things up in a local step, which takes `cx: &Context`");
    }
}

/// A method that reads a reply or an error: `fn f(&mut self, reply: Reply) -> Verdict`.
pub(super) fn callback(key: &Ident, method: &Method, diag: &mut Diagnostics) -> Option<Callback> {
    let before = diag.len();
    let (receiver, others) = inputs(&method.sig);
    let name = method.name();
    let what = if key == "on_success" {
        "reply"
    } else {
        "error"
    };
    check_plain("callback", method, diag);
    if let Some(asyncness) = &method.sig.asyncness {
        diag.error(
            asyncness.span,
            format_args!("callback `{name}` is not async"),
        )
        .help("it only takes the answer into the state; what needs the context is a local step");
    }
    match receiver.map(receives) {
        Some(Receives::Shared | Receives::Exclusive) => {}
        Some(Receives::Value) => {
            diag.error_on(
                receiver,
                format_args!("callback `{name}` cannot take the state by value"),
            )
            .help("write `&mut self`");
        }
        None => {
            diag.error(
                method.span(),
                format_args!("callback `{name}` takes no `self`"),
            )
            .help("add `&mut self`: it takes the answer into the saga's state");
        }
    }
    if let Some(arg) = others.first()
        && matches!(&*arg.ty, Type::Reference(_))
    {
        diag.error_on(
            &arg.ty,
            format_args!("callback `{name}` reads the {what} by value"),
        )
        .help("remove the `&`");
    }
    if let Some(more) = others.get(1) {
        diag.error_on(
            more,
            format_args!("callback `{name}` reads nothing but the {what}"),
        )
        .help("what it needs besides is in the saga's state: `self`");
    }
    (diag.len() == before).then(|| Callback {
        ident: method.sig.ident.clone(),
        reads: others.first().map(|arg| (*arg.ty).clone()),
        output: method.output().cloned(),
    })
}
