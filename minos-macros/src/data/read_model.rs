//! `#[read_model]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Field, Ident, Type, spanned::Spanned as _};

use super::{Shape, derives, field_checks, no_arguments, read};
use crate::{diag::Diagnostics, syntax};

pub(crate) fn read_model(
    args: &TokenStream,
    item: &TokenStream,
    diag: &mut Diagnostics,
) -> TokenStream {
    no_arguments(args, "read_model", diag);
    let Some(mut input) = read(item, "read_model", Shape::NamedFields, diag) else {
        return item.clone();
    };
    let key = key(&mut input, diag);
    let (derives, name) = (derives(&input.attrs), &input.ident);
    let read_model = key.map(|(field, ty)| read_model_impl(name, &field, &ty));
    let checks = field_checks(&input.data);
    quote! {
        #checks
        #derives
        #input
        const _: () = {
            use ::minos::__private as __m;
            impl __m::Model for #name {}
            #read_model
        };
    }
}

/// Takes `#[key]` off the fields, and finds the one field that has it.
fn key(input: &mut DeriveInput, diag: &mut Diagnostics) -> Option<(Ident, Type)> {
    let Data::Struct(data) = &mut input.data else {
        return None;
    };
    let mut keys = Vec::new();
    for field in &mut data.fields {
        if let Some(at) = take_key(field, diag) {
            keys.push((at, field.ident.clone()?, field.ty.clone()));
        }
    }
    if keys.is_empty() {
        diag.error(input.ident.span(), "this read model has no key")
            .help("add `#[key]` to the field by which a row is found");
        return None;
    }
    if let [(first, ..), more @ ..] = keys.as_slice() {
        for (second, ..) in more {
            diag.error(*second, "a read model has one key").help(
                "remove this one; for a key of several values give the field a type that writes them as one text",
            );
            diag.note(*first, "the first key is here");
        }
    }
    keys.into_iter().next().map(|(_, field, ty)| (field, ty))
}

fn take_key(field: &mut Field, diag: &mut Diagnostics) -> Option<proc_macro2::Span> {
    let mut found = None;
    field.attrs.retain(|attr| {
        if !attr.path().is_ident("key") {
            return true;
        }
        if attr.meta.require_path_only().is_err() {
            diag.error_on(&attr.meta, "`key` takes no arguments")
                .help("write `#[key]`");
        }
        found = Some(attr.path().span());
        false
    });
    found
}

fn read_model_impl(name: &Ident, field: &Ident, ty: &Type) -> TokenStream {
    let text = syntax::unraw(name);
    let span = syntax::at(ty.span());
    let key = quote_spanned!(span=> ::std::string::ToString::to_string(&self.#field));
    quote! {
        impl __m::ReadModel for #name {
            const NAME: &'static str = #text;
            type Key = #ty;
            fn key(&self) -> ::std::string::String {
                #key
            }
        }
    }
}
