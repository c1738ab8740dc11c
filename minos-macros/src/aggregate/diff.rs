//! `FooDiff`: the fields that changed.
//!
//! Its impls hold only where every field is a model, and say so in a `where` clause of their own. The clause is
//! higher-ranked, so that rustc takes it as a condition and does not refuse it on the spot: a field that is no model
//! is reported where the user wrote it, and not once more per impl.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::Type;

use super::State;
use crate::syntax::unraw;

pub(super) fn name(state: &State) -> Ident {
    let name = unraw(&state.ident);
    format_ident!("{name}Diff", span = state.ident.span())
}

/// The public struct.
pub(super) fn item(state: &State) -> TokenStream {
    let (name, vis) = (name(state), &state.vis);
    let of = unraw(&state.ident);
    let doc = format!(
        "The fields of a [`{of}`] that an `Updated<{of}>` event changed; the others are [`None`]."
    );
    let bound = bound_text(state);
    let fields = state.fields.iter().map(|field| {
        let (ident, vis, ty, aliases) = (&field.ident, &field.vis, &field.ty, &field.aliases);
        let doc = format!("The new `{}`, if it changed.", unraw(ident));
        quote! {
            #[doc = #doc]
            #[serde(
                default,
                skip_serializing_if = "::core::option::Option::is_none",
                deserialize_with = "::minos::__private::changed"
                #(, alias = #aliases)*
            )]
            #vis #ident: ::core::option::Option<#ty>
        }
    });
    quote! {
        #[doc = #doc]
        #[derive(
            ::core::default::Default,
            ::minos::__private::serde::Serialize,
            ::minos::__private::serde::Deserialize,
            ::minos::__private::schemars::JsonSchema
        )]
        #[serde(crate = "::minos::__private::serde", bound = #bound)]
        #[schemars(crate = "::minos::__private::schemars", bound = #bound)]
        #vis struct #name { #(#fields),* }
    }
}

/// The condition as text: serde and schemars read it from a literal.
fn bound_text(state: &State) -> String {
    let types = state
        .fields
        .iter()
        .map(|f| f.ty.to_token_stream().to_string());
    types
        // `$crate` means nothing in a literal; the impls then hold unconditionally, as if derived.
        .filter(|ty| !ty.contains('$'))
        .map(|ty| format!("for<'__a> {ty}: ::minos::__private::Model,"))
        .collect()
}

/// The impls that serde has no hand in.
pub(super) fn impls(state: &State) -> TokenStream {
    let (name, fields) = (name(state), idents(state));
    let types: Vec<&Type> = state.fields.iter().map(|f| &f.ty).collect();
    let text = name.to_string();
    let texts = fields.iter().map(|f| unraw(f));
    let when = quote!(where #(for<'__a> #types: __m::Model),*);
    quote! {
        #[automatically_derived]
        impl ::core::clone::Clone for #name #when {
            fn clone(&self) -> Self {
                Self { #(#fields: ::core::clone::Clone::clone(&self.#fields)),* }
            }
        }
        #[automatically_derived]
        impl ::core::cmp::PartialEq for #name #when {
            fn eq(&self, __other: &Self) -> bool {
                true #(&& self.#fields == __other.#fields)*
            }
        }
        #[automatically_derived]
        impl ::core::fmt::Debug for #name #when {
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __f.debug_struct(#text)#(.field(#texts, &self.#fields))*.finish()
            }
        }
        impl __m::Model for #name #when {}
    }
}

pub(super) fn idents(state: &State) -> Vec<&Ident> {
    state.fields.iter().map(|f| &f.ident).collect()
}
