//! From an impl block to steps.

use proc_macro2::TokenStream;
use syn::{
    Attribute, Ident, LitInt, LitStr, Meta, Token,
    parse::{ParseStream, Parser},
    spanned::Spanned as _,
};

use super::{Args, Callback, Model, Shape, Step, StepKeys, Value, check, shape};
use crate::{
    diag::{Diagnostics, closest},
    syntax::{self, ImplBlock, Keys, Member, Method},
};

const SAGA: Keys = Keys {
    of: "saga",
    known: &["deadline", "name"],
    elsewhere: &[
        (
            "timeout",
            "`timeout` belongs on a step, not on the saga",
            "write `#[step(timeout = \"30s\")]`; the whole saga has a `deadline = \"10m\"`",
        ),
        (
            "retry",
            "`retry` belongs on a step, not on the saga",
            "write `#[step(retry = 3)]`",
        ),
        (
            "compensate",
            "`compensate` belongs on a step, not on the saga",
            "write `#[step(compensate = undo)]`",
        ),
    ],
};

const STEP: Keys = Keys {
    of: "step",
    known: &[
        "on_success",
        "on_error",
        "compensate",
        "timeout",
        "retry",
        "pivot",
        "no_compensation",
        "ignore_reply",
        "name",
    ],
    elsewhere: &[
        (
            "deadline",
            "`deadline` belongs on the saga, not on a step",
            "write `#[saga(deadline = \"10m\")]`; one attempt of a step has a `timeout = \"5s\"`",
        ),
        (
            "when",
            "`when` is not supported yet",
            "take the decision in a local step, which runs `cx: &Context`",
        ),
        (
            "parallel",
            "`parallel` is not supported yet",
            "steps run one after the other, from top to bottom",
        ),
        (
            "on_timeout",
            "`on_timeout` is not supported yet",
            "a step that times out is tried again as often as `retry` says, then the saga is undone",
        ),
    ],
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
    let shape = shape::step(method, diag);
    let on_success = callback(block, keys.on_success.as_ref(), diag);
    let on_error = callback(block, keys.on_error.as_ref(), diag);
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
        compensate,
        clean: true,
    };
    check::check_step(&step, diag);
    step.clean = diag.len() == before;
    Some(step)
}

fn keys(attr: &Attribute, diag: &mut Diagnostics) -> StepKeys {
    let mut keys = StepKeys::default();
    match &attr.meta {
        Meta::Path(_) => {}
        Meta::List(list) => {
            let parser = |input: ParseStream<'_>| {
                STEP.read(input, diag, |key, input, diag| {
                    read_key(&mut keys, key, input, diag)
                });
                Ok(())
            };
            if let Err(e) = parser.parse2(list.tokens.clone()) {
                diag.syntax(e);
            }
        }
        Meta::NameValue(_) => {
            diag.error_on(&attr.meta, "`step` takes its keys in parentheses")
                .help("write `#[step(on_success = created)]`");
        }
    }
    keys
}

fn read_key(
    keys: &mut StepKeys,
    key: &Ident,
    input: ParseStream<'_>,
    diag: &mut Diagnostics,
) -> syn::Result<()> {
    match key.to_string().as_str() {
        "on_success" => keys.on_success = Some(method(key, input)?),
        "on_error" => keys.on_error = Some(method(key, input)?),
        "compensate" => keys.compensate = Some(method(key, input)?),
        "timeout" => {
            let text = syntax::string(key, input, "timeout = \"5s\"")?;
            keys.timeout = syntax::duration(&text, diag).map(|millis| (millis, key.span()));
        }
        "retry" => {
            let number: LitInt = syntax::value(key, input, "retry = 3")?;
            keys.retry = check::retry(&number, diag);
        }
        "pivot" => keys.pivot = syntax::flag(key, input)?.then(|| key.span()),
        "no_compensation" => {
            keys.no_compensation = syntax::reason(key, input, diag)?.then(|| key.span());
        }
        "ignore_reply" => {
            keys.ignore_reply = syntax::reason(key, input, diag)?.then(|| key.span());
        }
        _ => {
            let text = syntax::string(key, input, "name = \"stored_name\"")?;
            keys.name = syntax::topic("name", &text, diag).map(|name| (name, text.span()));
        }
    }
    Ok(())
}

fn method(key: &Ident, input: ParseStream<'_>) -> syn::Result<Value> {
    if input.peek(Token![=]) && input.peek2(LitStr) {
        input.parse::<Token![=]>()?;
        let quoted: LitStr = input.parse()?;
        let text = format!(
            "`{key}` names a method, without quotes\nhelp: write `{key} = {}`",
            quoted.value()
        );
        return Err(syn::Error::new(quoted.span(), text));
    }
    let method = syntax::value(key, input, &format!("{key} = a_method_of_this_saga"))?;
    let key = key.clone();
    Ok(Value { key, method })
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
}
