//! The text of a refusal: `{field}` and `{0}` stand for the fields of the variant.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Fields, LitStr};

use crate::{
    diag::{Diagnostics, instead, one_of},
    syntax,
};

/// The pattern that binds the fields, and the text that names what is bound.
pub(crate) fn bind(
    fields: &Fields,
    text: &LitStr,
    diag: &mut Diagnostics,
) -> (TokenStream, LitStr) {
    let names = names(fields);
    let checked = rewrite(text, &names, matches!(fields, Fields::Unnamed(_)), diag);
    // Bindings and text are ours, so that the text finds the bindings wherever the user's tokens come from.
    let bound = names.iter().map(|n| binding(n));
    let pattern = match fields {
        Fields::Unit => quote!(),
        Fields::Unnamed(_) => quote!(( #(#bound),* )),
        Fields::Named(named) => {
            let fields = named.named.iter().map(|f| &f.ident);
            quote!({ #(#fields: #bound),* })
        }
    };
    (pattern, LitStr::new(&checked, syntax::at(text.span())))
}

fn names(fields: &Fields) -> Vec<String> {
    let numbered = fields.iter().enumerate();
    numbered
        .map(|(i, field)| match &field.ident {
            Some(ident) => syntax::unraw(ident),
            None => i.to_string(),
        })
        .collect()
}

/// What the variable of a field starts with.
const BINDING: &str = "__field_";

fn binding(name: &str) -> Ident {
    format_ident!("{BINDING}{name}", span = Span::call_site())
}

/// Puts the variables in the places of the fields.
fn rewrite(text: &LitStr, names: &[String], tuple: bool, diag: &mut Diagnostics) -> String {
    let value = text.value();
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c != '{' || chars.next_if_eq(&'{').map(|c| out.push(c)).is_some() {
            continue;
        }
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| !matches!(c, ':' | '}' | '{')) {
            name.push(c);
        }
        let known = name.trim();
        if names.iter().any(|n| n == known) {
            out.push_str(BINDING);
            out.push_str(known);
            continue;
        }
        unknown(text, known, names, tuple, diag);
        // The text stays a valid format: what is wrong with it was said.
        return value.replace('{', "{{").replace('}', "}}");
    }
    out
}

fn unknown(text: &LitStr, name: &str, names: &[String], tuple: bool, diag: &mut Diagnostics) {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let what = match name {
        "" => "`{}` names no field".to_owned(),
        name => format!("`{{{name}}}` is no field of this variant"),
    };
    let help = match (known.as_slice(), tuple) {
        ([], _) => "this variant has no fields; write `{{` for a brace in the text".to_owned(),
        (_, true) => list(&known),
        (_, false) if name.is_empty() => list(&known),
        (_, false) => instead(name, &known),
    };
    diag.error(text.span(), what).help(help);
}

fn list(names: &[&str]) -> String {
    let braces: Vec<String> = names.iter().map(|n| format!("{{{n}}}")).collect();
    let braces: Vec<&str> = braces.iter().map(String::as_str).collect();
    match braces.as_slice() {
        [one] => format!("its field is `{one}`"),
        _ => format!("expected {}", one_of(&braces)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, names: &[&str]) -> (String, usize) {
        let mut diag = Diagnostics::default();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let literal = LitStr::new(text, Span::call_site());
        let out = rewrite(&literal, &names, false, &mut diag);
        (out, diag.len())
    }

    #[test]
    fn fields_become_variables() {
        assert_eq!(
            run("a {x:?} {{x}} {y:>8.2}", &["x", "y"]),
            ("a {__field_x:?} {{x}} {__field_y:>8.2}".to_owned(), 0)
        );
        assert_eq!(
            run("{0} and {1:?}", &["0", "1"]),
            ("{__field_0} and {__field_1:?}".to_owned(), 0)
        );
    }

    #[test]
    fn what_is_no_field_is_refused_once() {
        assert_eq!(run("{z} {q}", &["x"]).1, 1);
        assert_eq!(run("{}", &["x"]).1, 1);
        assert_eq!(run("{", &["x"]).1, 1);
    }
}
