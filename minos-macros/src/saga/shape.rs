//! What a method of a saga is, by its signature: nothing is guessed from names.

use syn::{FnArg, Ident, PatType, Receiver, Signature, Type, spanned::Spanned as _};

use super::{Callback, Condition, Local, Shape, Wait};
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
    // With a parameter it sends nothing: that is said below.
    let changes = local || !others.is_empty();
    check_receiver(what, method, receiver, changes, diag);
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
                .help("what it sends comes from the saga's state; `cx: &Context` makes it a local step, `#[step(signal)]` one that waits");
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
    changes: bool,
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
        Receives::Exclusive if changes => {}
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
    let name = method.name();
    let what = match key.to_string().as_str() {
        "on_success" => "reply",
        "on_error" => "error",
        _ => {
            let (_, others) = inputs(&method.sig);
            if let Some(arg) = others.first() {
                diag.error_on(
                    arg,
                    format_args!("callback `{name}` of `on_timeout` reads nothing"),
                )
                .help(format_args!(
                    "nobody answered in time: write `fn {name}(&mut self) -> Verdict`"
                ));
                return None;
            }
            "lapse"
        }
    };
    reader("callback", what, method, diag)
}

/// A step that waits for a signal: it reads it like a callback.
pub(super) fn wait(method: &Method, diag: &mut Diagnostics) -> Option<Shape> {
    let read = reader("step", "signal", method, diag)?;
    let Some(signal) = read.reads else {
        let name = method.name();
        diag.error(
            method.span(),
            format_args!("step `{name}` waits for a signal, and reads none"),
        )
        .help(format_args!(
            "its parameter says for which: `fn {name}(&mut self, signal: YourContract)`"
        ));
        return None;
    };
    let output = read.output;
    Some(Shape::Wait(Box::new(Wait { signal, output })))
}

pub(super) fn condition(method: &Method, diag: &mut Diagnostics) -> Option<Condition> {
    let before = diag.len();
    let (receiver, others) = inputs(&method.sig);
    let name = method.name();
    check_plain("condition", method, diag);
    if let Some(asyncness) = &method.sig.asyncness {
        diag.error(
            asyncness.span,
            format_args!("condition `{name}` is not async"),
        )
        .help("it looks at the saga's state alone; look things up in a step before");
    }
    if receiver.map(receives) != Some(Receives::Shared) {
        let text = format_args!("condition `{name}` takes `&self`").to_string();
        match receiver {
            Some(receiver) => diag.error_on(receiver, text),
            None => diag.error(method.span(), text),
        }
        .help(format_args!("write `fn {name}(&self) -> bool`"));
    }
    if let Some(arg) = others.first() {
        diag.error_on(
            arg,
            format_args!("condition `{name}` takes nothing but `&self`"),
        )
        .help("what it needs is in the saga's state; look things up in a step before");
    }
    (diag.len() == before).then(|| Condition {
        ident: method.sig.ident.clone(),
        output: method.output().cloned(),
    })
}

/// A method that reads something into the state, and decides.
fn reader(role: &str, what: &str, method: &Method, diag: &mut Diagnostics) -> Option<Callback> {
    let before = diag.len();
    let (receiver, others) = inputs(&method.sig);
    let name = method.name();
    check_plain(role, method, diag);
    if let Some(asyncness) = &method.sig.asyncness {
        diag.error(asyncness.span, format_args!("{role} `{name}` is not async"))
            .help(format_args!(
                "it only takes the {what} into the state; what needs the context is a local step"
            ));
    }
    match receiver.map(receives) {
        Some(Receives::Shared | Receives::Exclusive) => {}
        Some(Receives::Value) => {
            diag.error_on(
                receiver,
                format_args!("{role} `{name}` cannot take the state by value"),
            )
            .help("write `&mut self`");
        }
        None => {
            diag.error(
                method.span(),
                format_args!("{role} `{name}` takes no `self`"),
            )
            .help(format_args!(
                "add `&mut self`: it takes the {what} into the saga's state"
            ));
        }
    }
    if let Some(arg) = others.first()
        && matches!(&*arg.ty, Type::Reference(_))
    {
        diag.error_on(
            &arg.ty,
            format_args!("{role} `{name}` reads the {what} by value"),
        )
        .help(match role {
            "step" => "remove the `&`; a step that waits takes no `cx: &Context`",
            _ => "remove the `&`",
        });
    }
    if let Some(more) = others.get(1) {
        diag.error_on(
            more,
            format_args!("{role} `{name}` reads nothing but the {what}"),
        )
        .help("what it needs besides is in the saga's state: `self`");
    }
    (diag.len() == before).then(|| Callback {
        ident: method.sig.ident.clone(),
        reads: others.first().map(|arg| (*arg.ty).clone()),
        output: method.output().cloned(),
    })
}
