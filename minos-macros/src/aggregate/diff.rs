//! `FooDiff`: the fields that changed.
//!
//! Its impls hold only where every field is a model, and say so in a `where` clause of their own. The clause is
//! higher-ranked, so that rustc takes it as a condition and does not refuse it on the spot: a field that is no model
//! is reported where the user wrote it, and not once more per impl.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
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
    let fields = state.fields.iter().map(|field| {
        let (ident, vis, ty) = (&field.ident, &field.vis, &field.ty);
        let doc = format!("The new `{}`, if it changed.", unraw(ident));
        quote! {
            #[doc = #doc]
            #vis #ident: ::core::option::Option<#ty>
        }
    });
    quote! {
        #[doc = #doc]
        #[derive(::core::default::Default)]
        #vis struct #name { #(#fields),* }
    }
}

/// Each type once: the fewer conditions, the less rustc has to look through.
fn condition_types(state: &State) -> Vec<&Type> {
    let mut types: Vec<&Type> = Vec::new();
    for field in &state.fields {
        if !types.contains(&&field.ty) {
            types.push(&field.ty);
        }
    }
    types
}

/// All impls.
pub(super) fn impls(state: &State) -> TokenStream {
    let (std, serde, schema) = (std_impls(state), serde_impls(state), schema_impl(state));
    let (name, model) = (name(state), when(state, &quote!(__m::Model)));
    quote! {
        #std
        #serde
        #schema
        impl __m::Model for #name #model {}
    }
}

fn when(state: &State, of: &TokenStream) -> TokenStream {
    let types = condition_types(state);
    quote!(where #(for<'__a> #types: #of),*)
}

fn std_impls(state: &State) -> TokenStream {
    let (name, fields) = (name(state), idents(state));
    let text = name.to_string();
    let texts = fields.iter().map(|f| unraw(f));
    let clone = when(state, &quote!(::core::clone::Clone));
    let eq = when(state, &quote!(::core::cmp::PartialEq));
    let debug = when(state, &quote!(::core::fmt::Debug));
    quote! {
        #[automatically_derived]
        impl ::core::clone::Clone for #name #clone {
            fn clone(&self) -> Self {
                Self { #(#fields: ::core::clone::Clone::clone(&self.#fields)),* }
            }
        }
        #[automatically_derived]
        impl ::core::cmp::PartialEq for #name #eq {
            fn eq(&self, __other: &Self) -> bool {
                true #(&& self.#fields == __other.#fields)*
            }
        }
        #[automatically_derived]
        impl ::core::fmt::Debug for #name #debug {
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __f.debug_struct(#text)#(.field(#texts, &self.#fields))*.finish()
            }
        }
    }
}

/// A field is present if it changed: a change to `null` is not mistaken for no change.
fn serde_impls(state: &State) -> TokenStream {
    let (name, fields) = (name(state), idents(state));
    let texts: Vec<String> = fields.iter().map(|f| unraw(f)).collect();
    let aliases = state.fields.iter().map(|f| {
        let aliases = &f.aliases;
        quote!(#(| #aliases)*)
    });
    let serialize = when(state, &quote!(__m::serde::Serialize));
    let deserialize = when(state, &quote!(__m::serde::Deserialize<'__de>));
    quote! {
        #[automatically_derived]
        impl __m::serde::Serialize for #name #serialize {
            fn serialize<__S: __m::serde::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                let mut __map = __m::serde::Serializer::serialize_map(__serializer, ::core::option::Option::None)?;
                #(__m::write_change(&mut __map, #texts, &self.#fields)?;)*
                __m::serde::ser::SerializeMap::end(__map)
            }
        }
        #[automatically_derived]
        #[allow(unreachable_code)]
        impl<'__de> __m::ReadDiff<'__de> for #name #deserialize {
            fn read_field<__A: __m::serde::de::MapAccess<'__de>>(
                &mut self,
                __name: &str,
                __map: &mut __A,
            ) -> ::core::result::Result<bool, __A::Error> {
                match __name {
                    #(#texts #aliases => __m::read_change(&mut self.#fields, __map)?,)*
                    _ => return ::core::result::Result::Ok(false),
                }
                ::core::result::Result::Ok(true)
            }
        }
        #[automatically_derived]
        impl<'__de> __m::serde::Deserialize<'__de> for #name #deserialize {
            fn deserialize<__D: __m::serde::Deserializer<'__de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                __m::read_diff(__deserializer)
            }
        }
    }
}

fn schema_impl(state: &State) -> TokenStream {
    let (name, fields) = (name(state), idents(state));
    let text = name.to_string();
    let texts = fields.iter().map(|f| unraw(f));
    let types = state.fields.iter().map(|f| &f.ty);
    let schema = when(state, &quote!(__m::schemars::JsonSchema));
    quote! {
        #[automatically_derived]
        impl __m::schemars::JsonSchema for #name #schema {
            fn schema_name() -> __m::Cow<'static, str> {
                __m::Cow::Borrowed(#text)
            }
            fn schema_id() -> __m::Cow<'static, str> {
                __m::Cow::Borrowed(::core::concat!(::core::module_path!(), "::", #text))
            }
            fn json_schema(__generator: &mut __m::schemars::SchemaGenerator) -> __m::schemars::Schema {
                __m::diff_schema(&[#((#texts, __generator.subschema_for::<#types>())),*])
            }
        }
    }
}

pub(super) fn idents(state: &State) -> Vec<&Ident> {
    state.fields.iter().map(|f| &f.ident).collect()
}
