//! From a state to its impls.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{DeriveInput, spanned::Spanned as _};

use super::{Owner, State, diff};
use crate::{
    data,
    syntax::{at, line, unraw},
};

pub(super) fn expand(owner: Owner, state: &State, input: &DeriveInput) -> TokenStream {
    let derives = data::derives(&input.attrs);
    let (name, diff) = (&state.ident, diff::name(state));
    let (text, names) = (unraw(name), state.fields.iter().map(|f| unraw(&f.ident)));
    let (diff_item, diff_impls) = (diff::item(state), diff::impls(state));
    let (fields, aggregate) = match owner {
        Owner::Us => (fields_item(state), aggregate_impl(state)),
        Owner::Them => (quote!(), quote!()),
    };
    // First, so that rustc asks it before the derives, whose words are about serde.
    let stored = state.fields.iter().map(stored);
    quote! {
        const _: () = {
            use ::minos::__private as __m;
            #(let _ = #stored;)*
        };
        #derives
        #input
        #diff_item
        #fields
        const _: () = {
            use ::minos::__private as __m;
            #diff_impls
            impl __m::Model for #name {}
            impl __m::Subject for #name {
                const NAME: &'static str = #text;
                type Diff = #diff;
                const FIELDS: &'static [&'static str] = &[#(#names),*];
            }
            #aggregate
        };
    }
}

/// The one question that is asked of a field's type, at the type. Asked with the same words at the same place
/// again, rustc reports it once.
fn stored(field: &super::StateField) -> TokenStream {
    let (ty, span) = (&field.ty, at(field.ty.span()));
    quote_spanned!(span=> __m::stored::<#ty>())
}

/// `FooFields` and `Foo::fields()`.
fn fields_item(state: &State) -> TokenStream {
    let (name, vis) = (&state.ident, &state.vis);
    let of = unraw(name);
    let fields = format_ident!("{of}Fields", span = name.span());
    let doc = format!("The fields of a [`{of}`], for the conditions of `{of}::find`.");
    let columns = state.fields.iter().map(|field| {
        let (ident, vis, ty) = (&field.ident, &field.vis, &field.ty);
        let doc = format!("The field `{}`.", unraw(ident));
        quote! {
            #[doc = #doc]
            #vis #ident: ::minos::__private::Field<#name, #ty>
        }
    });
    let (idents, texts) = (
        diff::idents(state),
        state.fields.iter().map(|f| unraw(&f.ident)),
    );
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #fields { #(#columns),* }

        impl #name {
            #[doc = #doc]
            #[must_use]
            #vis const fn fields() -> #fields {
                #fields { #(#idents: ::minos::__private::Field::new(#texts)),* }
            }
        }
    }
}

fn aggregate_impl(state: &State) -> TokenStream {
    let (name, diff) = (&state.ident, diff::name(state));
    let unique = state.fields.iter().filter(|f| f.unique.is_some());
    let unique = unique.map(|f| unraw(&f.ident));
    let idents = diff::idents(state);
    let stored: Vec<TokenStream> = state.fields.iter().map(stored).collect();
    let (text, line) = (unraw(name), line(name.span()));
    let claim = format_ident!("aggregate_{text}", span = name.span());
    let claim = quote_spanned!(at(name.span())=> const #claim: () = (););
    quote! {
        type __Crate = crate::__put_minos_service_in_lib_rs;
        #[allow(non_upper_case_globals, dead_code)]
        impl __Crate { #claim }
        __m::submit! {
            __m::AggregateEntry::of::<__Crate, #name>(__m::At::new(#text, ::core::file!(), #line))
        }
        impl __m::Aggregate for #name {
            const UNIQUE: &'static [&'static str] = &[#(#unique),*];
            fn diff(&self, __new: &Self) -> ::core::option::Option<#diff> {
                let __diff = #diff {
                    #(#idents: (#stored.change)(&self.#idents, &__new.#idents)),*
                };
                let __any = false #(|| __diff.#idents.is_some())*;
                __any.then_some(__diff)
            }
            fn merge(&mut self, __diff: &#diff) {
                #((#stored.put)(&mut self.#idents, &__diff.#idents);)*
            }
        }
    }
}
