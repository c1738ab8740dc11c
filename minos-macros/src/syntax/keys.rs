//! `key = value, flag, ..` inside an attribute, with every error of the list found.

use proc_macro2::{Span, TokenTree};
use syn::{
    Ident, LitStr, Token,
    parse::{Parse, ParseStream},
};

use crate::diag::{Diagnostics, instead};

/// Which keys an attribute knows.
pub(crate) struct Keys {
    /// The attribute as errors name it, such as `step`.
    pub(crate) of: &'static str,
    /// The keys it takes.
    pub(crate) known: &'static [&'static str],
    /// Keys that another attribute takes, or that nobody takes yet, and what to say about them.
    pub(crate) elsewhere: &'static [(&'static str, &'static str, &'static str)],
}

impl Keys {
    /// Reads the rest of the list; `read` takes one key's value.
    pub(crate) fn read(
        &self,
        input: ParseStream<'_>,
        diag: &mut Diagnostics,
        mut read: impl FnMut(&Ident, ParseStream<'_>, &mut Diagnostics) -> syn::Result<()>,
    ) {
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            if let Err(e) = self.one(input, diag, &mut seen, &mut read) {
                diag.syntax(e);
            }
            skip_to_comma(input);
        }
    }

    fn one(
        &self,
        input: ParseStream<'_>,
        diag: &mut Diagnostics,
        seen: &mut Vec<Ident>,
        read: &mut impl FnMut(&Ident, ParseStream<'_>, &mut Diagnostics) -> syn::Result<()>,
    ) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            let names: Vec<String> = self.known.iter().map(|k| format!("`{k}`")).collect();
            let text = format!(
                "expected a key of `{}`\nhelp: the keys are {}",
                self.of,
                names.join(", ")
            );
            return Err(input.error(text));
        }
        let key: Ident = input.call(Ident::parse_any)?;
        let name = key.to_string();
        if let Some((_, what, help)) = self.elsewhere.iter().find(|(n, ..)| *n == name) {
            diag.error(key.span(), what).help(help);
            return Ok(());
        }
        if !self.known.contains(&name.as_str()) {
            let text = format!("unknown `{}` key `{name}`", self.of);
            diag.error(key.span(), text)
                .help(instead(&name, self.known));
            return Ok(());
        }
        if let Some(first) = seen.iter().find(|s| **s == key) {
            let text = format!("`{name}` is given twice");
            diag.error(key.span(), text).help("remove one of them");
            diag.note(first.span(), format_args!("`{name}` is first given here"));
            return Ok(());
        }
        read(&key, input, diag)?;
        seen.push(key);
        if !input.is_empty() && !input.peek(Token![,]) {
            return Err(input.error(format!("expected `,` after the value of `{name}`")));
        }
        Ok(())
    }
}

use syn::ext::IdentExt as _;

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        let comma = input.peek(Token![,]);
        // The stream is not empty, so that there is a token.
        let _ = input.parse::<TokenTree>();
        if comma {
            return;
        }
    }
}

/// The value behind `key =`.
pub(crate) fn value<T: Parse>(key: &Ident, input: ParseStream<'_>, form: &str) -> syn::Result<T> {
    let wrong = |span: Span, what: &str| {
        syn::Error::new(span, format!("{what} `{key}`\nhelp: write `{form}`"))
    };
    if !input.peek(Token![=]) {
        return Err(wrong(key.span(), "expected a value for"));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(wrong(key.span(), "expected a value for"));
    }
    let span = input.span();
    input
        .parse()
        .map_err(|_| wrong(span, "this is no value for"))
}

/// A text behind `key =`.
pub(crate) fn string(key: &Ident, input: ParseStream<'_>, form: &str) -> syn::Result<LitStr> {
    value(key, input, form)
}

/// A key without a value.
pub(crate) fn flag(key: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
    if input.peek(Token![=]) {
        let text = format!("`{key}` takes no value\nhelp: write `{key}` alone");
        return Err(syn::Error::new(key.span(), text));
    }
    Ok(true)
}

/// A reason in words: a decision that the next reader must understand.
pub(crate) fn reason(
    key: &Ident,
    input: ParseStream<'_>,
    diag: &mut Diagnostics,
) -> syn::Result<bool> {
    let text = string(key, input, &format!("{key} = \"why this is right\""))?;
    if text.value().trim().is_empty() {
        diag.error(text.span(), format_args!("`{key}` has an empty reason"))
            .help("say why, for the next reader");
    }
    Ok(true)
}
