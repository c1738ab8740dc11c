//! What an aggregate must not be, one function per rule.

use syn::{Attribute, Data, DeriveInput};

use super::{Owner, State};
use crate::{diag::Diagnostics, syntax::unraw};

/// What `Root` says of every aggregate by itself.
const RESERVED: [&str; 4] = ["uuid", "version", "created_at", "updated_at"];

/// What serde may do with a field without giving it another name or shape than the diff and the conditions use.
const SERDE_FITS: [&str; 4] = ["default", "alias", "deny_unknown_fields", "crate"];

pub(super) fn check(owner: Owner, state: &State, input: &DeriveInput, diag: &mut Diagnostics) {
    check_fields_are_there(owner, state, diag);
    if owner == Owner::Us {
        check_reserved_names(state, diag);
    } else {
        check_nothing_is_unique(state, diag);
    }
    check_serde(owner, input, diag);
}

// #[aggregate] pub struct Foo {}
fn check_fields_are_there(owner: Owner, state: &State, diag: &mut Diagnostics) {
    if state.fields.is_empty() {
        let text = match owner {
            Owner::Us => "this aggregate has no fields, so nothing of it can change",
            Owner::Them => "this reference has no fields",
        };
        diag.error(state.ident.span(), text)
            .help("add the fields to keep");
    }
}

// #[aggregate] pub struct Foo { version: u64 }
fn check_reserved_names(state: &State, diag: &mut Diagnostics) {
    for field in &state.fields {
        let name = unraw(&field.ident);
        if RESERVED.contains(&name.as_str()) {
            diag.error(
                field.ident.span(),
                format_args!("the field `{name}` would be mistaken for `Root::{name}()`"),
            )
            .help("every aggregate has it already: remove the field, or give it another name");
        }
    }
}

// #[aggregate_ref] pub struct Foo { #[unique] bar: String }
fn check_nothing_is_unique(state: &State, diag: &mut Diagnostics) {
    for at in state.fields.iter().filter_map(|f| f.unique) {
        diag.error(
            at,
            "`unique` belongs on the aggregate, not on a reference to it",
        )
        .help("the service that owns the aggregate keeps its values unique");
    }
}

// #[aggregate] pub struct Foo { #[serde(rename = "x")] bar: String }
fn check_serde(owner: Owner, input: &DeriveInput, diag: &mut Diagnostics) {
    let fields = match &input.data {
        Data::Struct(data) => Some(data.fields.iter()),
        _ => None,
    };
    let fields = fields.into_iter().flatten().flat_map(|f| &f.attrs);
    for attr in input.attrs.iter().chain(fields) {
        if attr.path().is_ident("serde") {
            check_serde_attribute(owner, attr, diag);
        }
    }
}

fn check_serde_attribute(owner: Owner, attr: &Attribute, diag: &mut Diagnostics) {
    // What serde cannot read, serde explains.
    let _ = attr.parse_nested_meta(|meta| {
        if let Some(key) = meta.path.get_ident()
            && !SERDE_FITS.iter().any(|fits| key == fits)
        {
            let what = match owner {
                Owner::Us => "an aggregate",
                Owner::Them => "a reference to an aggregate",
            };
            diag.error(
                key.span(),
                format_args!("`serde({key})` does not fit {what}"),
            )
            .help(
                "events, diffs, and conditions use a field under its own name and type; for another form on the wire \
                 give the field a `#[model]` type of its own",
            );
        }
        if meta.input.peek(syn::Token![=]) {
            meta.value()?.parse::<syn::Expr>()?;
        } else if meta.input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in meta.input);
            content.parse::<proc_macro2::TokenStream>()?;
        }
        Ok(())
    });
}
