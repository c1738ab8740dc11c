//! One enroute attribute: which it is, and what stands in it.

use proc_macro2::Span;
use syn::{Attribute, LitStr, Meta, Path, Token, parse::ParseStream, spanned::Spanned as _};

use super::{Door, Enroute, Kind};
use crate::{
    diag::{Diagnostics, closest, instead, one_of},
    syntax,
};

/// The enroutes there are: family, kind, name, example.
const KNOWN: [(&str, Kind, &str, &str); 5] = [
    ("broker", Kind::Command, "broker::command", "\"CreateFoo\""),
    ("broker", Kind::Query, "broker::query", "\"GetFoo\""),
    ("broker", Kind::Event, "broker::event", "\"FooCreated\""),
    (
        "rest",
        Kind::Command,
        "rest::command",
        "\"/foos\", \"POST\"",
    ),
    (
        "rest",
        Kind::Query,
        "rest::query",
        "\"/foos/{uuid}\", \"GET\"",
    ),
];

/// Enroutes that will come.
const LATER: [&str; 3] = ["periodic::event", "graphql::command", "graphql::query"];

const VERBS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// `family::kind` of a path that ends in `enroute::<family>::<kind>`. Any other attribute is not ours.
pub(super) fn tail(path: &Path) -> Option<String> {
    let names: Vec<String> = path
        .segments
        .iter()
        .map(|s| syntax::unraw(&s.ident))
        .collect();
    match names.as_slice() {
        [.., enroute, family, kind] if enroute == "enroute" => Some(format!("{family}::{kind}")),
        _ => None,
    }
}

/// Reads an attribute whose path ends in `enroute::{tail}`.
pub(super) fn read(attr: &Attribute, tail: &str, diag: &mut Diagnostics) -> Option<Enroute> {
    let Some((family, kind, name, example)) = KNOWN.into_iter().find(|(.., n, _)| *n == tail)
    else {
        unknown(attr.path(), tail, diag);
        return None;
    };
    if !matches!(attr.meta, Meta::List(_)) {
        let wants = if family == "rest" {
            "a path and a verb"
        } else {
            "a topic"
        };
        diag.error_on(attr.path(), format_args!("`enroute::{name}` needs {wants}"))
            .help(format_args!("write `#[enroute::{name}({example})]`"));
        return None;
    }
    let before = diag.len();
    let read = attr.parse_args_with(|input: ParseStream<'_>| {
        let door = match (family, kind) {
            ("rest", _) => http(input, kind, name, diag),
            (_, Kind::Event) => event(input, diag),
            _ => message(input, diag),
        }?;
        trailing(input)?;
        Ok(door)
    });
    match read {
        Ok(door) => door.map(|(door, span)| Enroute {
            path: attr.path().clone(),
            name,
            kind,
            door,
            span,
        }),
        Err(e) => {
            if diag.len() == before {
                diag.error(e.span(), e)
                    .help(format_args!("write `#[enroute::{name}({example})]`"));
            }
            None
        }
    }
}

fn trailing(input: ParseStream<'_>) -> syn::Result<()> {
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() {
        Ok(())
    } else {
        Err(input.error("there is more than it takes"))
    }
}

fn unknown(path: &Path, tail: &str, diag: &mut Diagnostics) {
    let span = path
        .segments
        .last()
        .map_or_else(|| path.span(), |s| s.ident.span());
    if LATER.contains(&tail) {
        diag.error(span, format_args!("`enroute::{tail}` is not supported yet"))
            .help(format_args!("there is {}", list()));
        return;
    }
    let known = KNOWN.map(|(.., name, _)| name);
    let help = match closest(tail, known) {
        Some(name) => format!("did you mean `enroute::{name}`?"),
        None => format!("expected {}", list()),
    };
    diag.error(span, format_args!("unknown enroute `{tail}`"))
        .help(help);
}

/// All enroutes there are.
fn list() -> String {
    let known = KNOWN.map(|(.., name, _)| format!("enroute::{name}"));
    one_of(&known.each_ref().map(String::as_str))
}

type Read = syn::Result<Option<(Door, Span)>>;

/// `"CreateFoo"`, `CreateFoo`, or `"foo.create" = CreateFoo`.
fn message(input: ParseStream<'_>, diag: &mut Diagnostics) -> Read {
    if !input.peek(LitStr) {
        return contract(input);
    }
    let text: LitStr = input.parse()?;
    let contract = named_contract(input)?;
    let span = text.span();
    Ok(syntax::topic("topic", &text, diag).map(|name| (Door::Topic { name, contract }, span)))
}

/// `"FooCreated"`, `OrderPaid`, or `"order.paid" = OrderPaid`.
fn event(input: ParseStream<'_>, diag: &mut Diagnostics) -> Read {
    if !input.peek(LitStr) {
        return contract(input);
    }
    let text: LitStr = input.parse()?;
    let span = text.span();
    if let Some(contract) = named_contract(input)? {
        let contract = Some(contract);
        return Ok(
            syntax::topic("topic", &text, diag).map(|name| (Door::Topic { name, contract }, span))
        );
    }
    Ok(syntax::event_name(&text, diag).map(|name| (Door::Aggregate(name), span)))
}

fn named_contract(input: ParseStream<'_>) -> syn::Result<Option<Path>> {
    if input.parse::<Option<Token![=]>>()?.is_some() {
        Ok(Some(input.parse()?))
    } else {
        Ok(None)
    }
}

fn contract(input: ParseStream<'_>) -> Read {
    let path: Path = input
        .parse()
        .map_err(|e| syn::Error::new(e.span(), "a topic is a text or a contract type"))?;
    let Some(last) = path.segments.last() else {
        return Ok(None);
    };
    let (name, span) = (syntax::unraw(&last.ident), last.ident.span());
    let contract = Some(path);
    Ok(Some((Door::Topic { name, contract }, span)))
}

/// `"/foos/{uuid}", "GET"`.
fn http(input: ParseStream<'_>, kind: Kind, name: &str, diag: &mut Diagnostics) -> Read {
    let path: LitStr = input
        .parse()
        .map_err(|e| syn::Error::new(e.span(), "a path is a text"))?;
    let missing = |span| syn::Error::new(span, format!("`enroute::{name}` needs a verb"));
    if input.is_empty() {
        return Err(missing(path.span()));
    }
    input.parse::<Token![,]>()?;
    if input.is_empty() {
        return Err(missing(path.span()));
    }
    let verb: LitStr = input.parse()?;
    let span = path.span();
    let (path, verb) = (
        syntax::rest_path(&path, diag),
        check_verb(&verb, kind, name, diag),
    );
    let door = path.zip(verb).map(|(path, verb)| Door::Http { verb, path });
    Ok(door.map(|door| (door, span)))
}

// #[enroute::rest::query("/foos", "POST")]
fn check_verb(text: &LitStr, kind: Kind, name: &str, diag: &mut Diagnostics) -> Option<String> {
    let verb = text.value();
    if !VERBS.contains(&verb.as_str()) {
        let help = match VERBS.into_iter().find(|v| v.eq_ignore_ascii_case(&verb)) {
            Some(verb) => format!("verbs are upper-case: `\"{verb}\"`"),
            None => instead(&verb, &VERBS),
        };
        diag.error(text.span(), format_args!("unknown verb `{verb}`"))
            .help(help);
        return None;
    }
    match (kind, verb.as_str()) {
        (Kind::Query, "GET") => Some(verb),
        (Kind::Query, _) => {
            diag.error(text.span(), format_args!("`enroute::{name}` answers `GET`, not `{verb}`"))
                .help("a query changes nothing; use `enroute::rest::command` in a `#[command_service]` to change something");
            None
        }
        (_, "GET") => {
            diag.error(text.span(), format_args!("`enroute::{name}` does not answer `GET`"))
                .help("a `GET` changes nothing and may be repeated: use `enroute::rest::query` in a `#[query_service]`");
            None
        }
        _ => Some(verb),
    }
}
