//! From an impl block to steps.

use proc_macro2::TokenStream;
use syn::{
    Attribute,
    parse::{ParseStream, Parser},
    spanned::Spanned as _,
};

use super::{
    Args, Callback, Model, Shape, Step, Value, check,
    keys::{SAGA, keys},
    shape,
};
use crate::{
    diag::{Diagnostics, closest},
    syntax::{self, ImplBlock, Member, Method},
};

pub(super) fn arguments(args: &TokenStream, diag: &mut Diagnostics) -> Args {
    let mut read = Args::default();
    let parser = |input: ParseStream<'_>| {
        SAGA.read(input, diag, |key, input, diag| {
            if key == "deadline" {
                let text = syntax::string(key, input, "deadline = \"10m\"")?;
                read.deadline = syntax::duration(&text, diag);
            } else {
                let text = syntax::string(key, input, "name = \"stored_name\"")?;
                read.name = syntax::topic("name", &text, diag).map(|name| (name, text.span()));
            }
            Ok(())
        });
        Ok(())
    };
    if let Err(e) = parser.parse2(args.clone()) {
        diag.syntax(e);
    }
    read
}

/// The steps, with our attributes taken off their methods; and whether there was any `#[step]`.
pub(super) fn steps(block: &mut ImplBlock, diag: &mut Diagnostics) -> (Vec<Step>, bool) {
    let mut attrs = Vec::new();
    for (index, member) in block.members.iter_mut().enumerate() {
        if let Member::Method(method) = member
            && let Some(attr) = take_step(method, diag)
        {
            attrs.push((index, attr));
        }
    }
    let any = !attrs.is_empty();
    let block = &*block;
    let steps = attrs.into_iter().filter_map(|(index, attr)| {
        let Some(Member::Method(method)) = block.members.get(index) else {
            return None;
        };
        step(block, method, &attr, diag)
    });
    let steps: Vec<Step> = steps.collect();
    (steps, any)
}

fn take_step(method: &mut Method, diag: &mut Diagnostics) -> Option<Attribute> {
    let mut found: Option<Attribute> = None;
    method.attrs.retain(|attr| {
        let ours = attr
            .path()
            .segments
            .last()
            .is_some_and(|s| s.ident == "step");
        if !ours {
            return true;
        }
        if found.is_some() {
            diag.error_on(attr.path(), "`step` is given twice")
                .help("write all keys into one `#[step(..)]`");
        } else {
            found = Some(attr.clone());
        }
        false
    });
    found
}

fn step(
    block: &ImplBlock,
    method: &Method,
    attr: &Attribute,
    diag: &mut Diagnostics,
) -> Option<Step> {
    let before = diag.len();
    let keys = keys(attr, diag);
    let shape = match keys.signal {
        Some(_) => shape::wait(method, diag),
        None => shape::step(method, diag),
    };
    let on_success = callback(block, keys.on_success.as_ref(), diag);
    let on_error = callback(block, keys.on_error.as_ref(), diag);
    let on_timeout = callback(block, keys.on_timeout.as_ref(), diag);
    let when = keys.when.as_ref().and_then(|value| {
        let found = find(block, value, diag)?;
        shape::condition(found, diag)
    });
    let compensate = keys.compensate.as_ref().and_then(|value| {
        let found = find(block, value, diag)?;
        Some((value.method.clone(), shape::compensation(found, diag)?))
    });
    let mut step = Step {
        ident: method.sig.ident.clone(),
        cfgs: method.cfgs(),
        keys,
        shape: shape?,
        on_success,
        on_error,
        on_timeout,
        when,
        compensate,
        clean: true,
    };
    check::check_step(&step, diag);
    step.clean = diag.len() == before;
    Some(step)
}

/// The method that a key names.
fn find<'a>(block: &'a ImplBlock, value: &Value, diag: &mut Diagnostics) -> Option<&'a Method> {
    let name = syntax::unraw(&value.method);
    if let Some(method) = block.methods().find(|m| m.name() == name) {
        return Some(method);
    }
    let names: Vec<String> = block.methods().map(Method::name).collect();
    let help = match closest(&name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write `fn {name}` into this `impl` block"),
    };
    diag.error(
        value.method.span(),
        format_args!("`{name}` is not a method of this saga"),
    )
    .help(help);
    None
}

fn callback(block: &ImplBlock, value: Option<&Value>, diag: &mut Diagnostics) -> Option<Callback> {
    let value = value?;
    let found = find(block, value, diag)?;
    shape::callback(&value.key, found, diag)
}

pub(super) fn model(block: &ImplBlock, args: Args, steps: Vec<Step>) -> Model {
    let default = syntax::type_name(&block.self_ty);
    let span = block.self_ty.span();
    let (name, name_span) = args.name.unwrap_or((default, span));
    Model {
        self_ty: block.self_ty.clone(),
        name,
        name_span,
        deadline: args.deadline,
        steps,
    }
}

impl Shape {
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Shape::Local(_))
    }

    pub(super) fn is_wait(&self) -> bool {
        matches!(self, Shape::Wait(_))
    }
}
