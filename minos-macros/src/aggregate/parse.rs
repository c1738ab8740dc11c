//! From tokens to a state.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    DeriveInput, Field,
    parse::{ParseStream, Parser},
    spanned::Spanned as _,
};

use super::{Owner, State, StateField, fields_mut};
use crate::{data, diag::Diagnostics};

/// The arguments of the attribute: none yet.
pub(super) fn arguments(owner: Owner, args: &TokenStream, diag: &mut Diagnostics) {
    let parser = |input: ParseStream<'_>| {
        if let Ok(key) = input.parse::<syn::Ident>() {
            let attribute = owner.attribute();
            diag.error(
                key.span(),
                format_args!("unknown `{attribute}` key `{key}`"),
            )
            .help(format_args!(
                "`{attribute}` takes no keys: write `#[{attribute}]`"
            ));
            input.parse::<TokenStream>()?;
        }
        Ok(())
    };
    if parser.parse2(args.clone()).is_err() {
        data::no_arguments(args, owner.attribute(), diag);
    }
}

/// The state, with our attributes taken off its fields.
pub(super) fn state(input: &mut DeriveInput, diag: &mut Diagnostics) -> State {
    let (ident, vis) = (input.ident.clone(), input.vis.clone());
    let fields = fields_mut(input)
        .filter_map(|field| read_field(field, diag))
        .collect();
    State { ident, vis, fields }
}

fn read_field(field: &mut Field, diag: &mut Diagnostics) -> Option<StateField> {
    let mut unique = None;
    field.attrs.retain(|attr| {
        if !attr.path().is_ident("unique") {
            return true;
        }
        if attr.meta.require_path_only().is_err() {
            diag.error_on(&attr.meta, "`unique` takes no arguments")
                .help("write `#[unique]`");
        }
        if unique.replace(attr.path().span()).is_some() {
            diag.error(attr.path().span(), "`unique` is given twice")
                .help("remove one of them");
        }
        false
    });
    Some(StateField {
        ident: field.ident.clone()?,
        vis: field.vis.clone(),
        ty: field.ty.clone(),
        unique,
        aliases: aliases(field),
    })
}

fn aliases(field: &Field) -> Vec<TokenStream> {
    let mut found = Vec::new();
    for attr in field.attrs.iter().filter(|a| a.path().is_ident("serde")) {
        // What serde cannot read, serde explains.
        let _ = attr.parse_nested_meta(|meta| {
            let alias = meta.path.is_ident("alias");
            if meta.input.peek(syn::Token![=]) {
                let value: syn::Expr = meta.value()?.parse()?;
                if alias {
                    found.push(value.into_token_stream());
                }
            }
            Ok(())
        });
    }
    found
}
