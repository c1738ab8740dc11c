//! Expansions as tokens: what must be in them, what must not, and how long they are.

mod budget;
mod data;
mod diagram;
mod entry_point;
mod recovery;
mod saga;
mod service;

use proc_macro2::TokenStream;

use crate::diag::Diagnostics;

type Expand = fn(&TokenStream, &TokenStream, &mut Diagnostics) -> TokenStream;

/// A right use, expanded and printed.
fn expand(expand: Expand, args: TokenStream, item: TokenStream) -> String {
    let mut diag = Diagnostics::default();
    let tokens = expand(&args, &item, &mut diag);
    assert_eq!(diag.texts(), [""; 0], "this use is right");
    pretty(tokens)
}

/// A wrong use: what is left of the item, and what is said.
fn refuse(expand: Expand, args: TokenStream, item: TokenStream) -> (String, Vec<String>) {
    let mut diag = Diagnostics::default();
    let tokens = expand(&args, &item, &mut diag);
    let texts = diag.texts().into_iter().map(str::to_owned).collect();
    (pretty(tokens), texts)
}

fn pretty(tokens: TokenStream) -> String {
    let file = syn::parse2(tokens).expect("an expansion is a list of items");
    prettyplease::unparse(&file)
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(
            tight(text).contains(&tight(part)),
            "no `{part}` in:\n{text}"
        );
    }
}

#[track_caller]
fn contains_none(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(
            !tight(text).contains(&tight(part)),
            "a `{part}` in:\n{text}"
        );
    }
}

/// Without what depends on the length of lines.
fn tight(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text.replace(",>", ">")
        .replace(",)", ")")
        .replace(",]", "]")
}
