//! What stands in `#[saga(..)]` and `#[step(..)]`.

use proc_macro2::Span;
use syn::{
    Attribute, Ident, LitInt, LitStr, Meta, Token,
    parse::{ParseStream, Parser},
};

use super::{StepKeys, Value, check};
use crate::{
    diag::Diagnostics,
    syntax::{self, Keys},
};

pub(super) const SAGA: Keys = Keys {
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
        "on_timeout",
        "retry",
        "backoff",
        "max_backoff",
        "when",
        "choice",
        "parallel",
        "signal",
        "pivot",
        "no_compensation",
        "ignore_reply",
        "name",
    ],
    elsewhere: &[(
        "deadline",
        "`deadline` belongs on the saga, not on a step",
        "write `#[saga(deadline = \"10m\")]`; one attempt of a step has a `timeout = \"5s\"`",
    )],
};

pub(super) fn keys(attr: &Attribute, diag: &mut Diagnostics) -> StepKeys {
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
        "on_timeout" => keys.on_timeout = Some(method(key, input)?),
        "when" => keys.when = Some(method(key, input)?),
        "choice" => keys.choice = Some(name(key, input, "is a name")?),
        "parallel" => keys.parallel = Some(name(key, input, "is a name")?),
        "timeout" => keys.timeout = duration(key, input, "5s", diag)?,
        "backoff" => keys.backoff = duration(key, input, "1m", diag)?,
        "max_backoff" => keys.max_backoff = duration(key, input, "1d", diag)?,
        "retry" => {
            let number: LitInt = syntax::value(key, input, "retry = 3")?;
            keys.retry = check::retry(&number, diag).map(|times| (times, key.span()));
        }
        "signal" => {
            keys.signal = Some(key.span());
            syntax::flag(key, input)?;
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

fn duration(
    key: &Ident,
    input: ParseStream<'_>,
    example: &str,
    diag: &mut Diagnostics,
) -> syn::Result<Option<(u64, Span)>> {
    let text = syntax::string(key, input, &format!("{key} = \"{example}\""))?;
    Ok(syntax::duration(&text, diag).map(|millis| (millis, key.span())))
}

fn method(key: &Ident, input: ParseStream<'_>) -> syn::Result<Value> {
    let method = name(key, input, "names a method")?;
    let key = key.clone();
    Ok(Value { key, method })
}

/// The name behind `key =`: of a method of this saga, or of a group or a choice.
fn name(key: &Ident, input: ParseStream<'_>, what: &str) -> syn::Result<Ident> {
    if input.peek(Token![=]) && input.peek2(LitStr) {
        input.parse::<Token![=]>()?;
        let quoted: LitStr = input.parse()?;
        let text = format!(
            "`{key}` {what}, without quotes\nhelp: write `{key} = {}`",
            quoted.value()
        );
        return Err(syn::Error::new(quoted.span(), text));
    }
    let form = match key.to_string().as_str() {
        "choice" => "choice = a_name".to_owned(),
        "parallel" => "parallel = a_name".to_owned(),
        _ => format!("{key} = a_method_of_this_saga"),
    };
    syntax::value(key, input, &form)
}
