//! `#[error_model]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, LitInt, LitStr, Token, Variant, parse::ParseStream};

use super::{Shape, derives, error_text, field_checks, no_arguments, read};
use crate::{
    diag::{Diagnostics, closest},
    syntax,
};

/// The refusal behind one variant.
struct Refusal {
    status: u16,
    text: LitStr,
}

pub(crate) fn error_model(
    args: &TokenStream,
    item: &TokenStream,
    diag: &mut Diagnostics,
) -> TokenStream {
    no_arguments(args, "error_model", diag);
    let Some(mut input) = read(item, "error_model", Shape::Enum, diag) else {
        return item.clone();
    };
    let arms = arms(&mut input, diag);
    let (derives, name) = (derives(&input.attrs), &input.ident);
    let impls = impls(name, &arms);
    let checks = field_checks(&input.data);
    quote! {
        #checks
        #derives
        #input
        const _: () = {
            use ::minos::__private as __m;
            #impls
        };
    }
}

/// What the three methods say of one variant.
struct Arms {
    pattern: TokenStream,
    text: LitStr,
    any: TokenStream,
    status: u16,
    code: String,
}

fn arms(input: &mut DeriveInput, diag: &mut Diagnostics) -> Vec<Arms> {
    let Data::Enum(data) = &mut input.data else {
        return Vec::new();
    };
    if data.variants.is_empty() {
        diag.error(input.ident.span(), "this error model has no variant")
            .help("a contract that cannot refuse has no `error = ..`");
    }
    let arms = data.variants.iter_mut().map(|variant| {
        let refusal = take_refusal(variant, diag);
        let name = &variant.ident;
        let (pattern, text) = error_text::bind(&variant.fields, &refusal.text, diag);
        Arms {
            pattern: quote!(Self::#name #pattern),
            text,
            any: quote!(Self::#name { .. }),
            status: refusal.status,
            code: syntax::unraw(name),
        }
    });
    arms.collect()
}

/// Takes `#[error(..)]` off a variant; a variant without it keeps its name as the text.
fn take_refusal(variant: &mut Variant, diag: &mut Diagnostics) -> Refusal {
    let mut found: Vec<Attribute> = Vec::new();
    variant.attrs.retain(|attr| {
        let ours = attr.path().is_ident("error");
        if ours {
            found.push(attr.clone());
        }
        !ours
    });
    let name = syntax::unraw(&variant.ident);
    let fallback = || Refusal {
        status: 400,
        text: LitStr::new(&name, Span::call_site()),
    };
    let Some(attr) = found.first() else {
        diag.error(
            variant.ident.span(),
            format_args!("variant `{name}` has no text"),
        )
        .help(format_args!(
            "add `#[error(status = 409, \"..\")]` to `{name}`"
        ));
        return fallback();
    };
    for second in found.iter().skip(1) {
        diag.error_on(second.path(), format_args!("`{name}` has two texts"))
            .help("remove one of them");
    }
    let before = diag.len();
    let read =
        attr.parse_args_with(|input: ParseStream<'_>| refusal(input, attr, &variant.ident, diag));
    match read {
        Ok(Some(refusal)) => refusal,
        Ok(None) => fallback(),
        Err(e) => {
            if diag.len() == before {
                diag.syntax(e);
            }
            fallback()
        }
    }
}

fn refusal(
    input: ParseStream<'_>,
    attr: &Attribute,
    variant: &Ident,
    diag: &mut Diagnostics,
) -> syn::Result<Option<Refusal>> {
    let (mut status, mut text) = (400, None);
    let before = diag.len();
    while !input.is_empty() {
        if input.peek(LitStr) {
            let literal: LitStr = input.parse()?;
            if text.is_some() {
                diag.error(literal.span(), "a variant has one text")
                    .help("write it as one literal");
            } else {
                text = Some(literal);
            }
        } else {
            let key: Ident = input.parse().map_err(|e| {
                let help = "write `#[error(status = 409, \"..\")]`";
                syn::Error::new(
                    e.span(),
                    format!("expected a status or a text\nhelp: {help}"),
                )
            })?;
            status = read_status(&key, input, diag)?.unwrap_or(status);
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    if text.is_none() && diag.len() == before {
        diag.error_on(&attr.meta, format_args!("variant `{variant}` has no text"))
            .help("write `#[error(status = 409, \"..\")]`");
    }
    Ok(text.map(|text| Refusal { status, text }))
}

fn read_status(
    key: &Ident,
    input: ParseStream<'_>,
    diag: &mut Diagnostics,
) -> syn::Result<Option<u16>> {
    if key != "status" {
        let name = key.to_string();
        let help = match closest(&name, ["status"]) {
            Some(_) => "did you mean `status`?",
            None => "write `status = 409`, or the text alone",
        };
        diag.error(key.span(), format_args!("unknown `error` key `{name}`"))
            .help(help);
        if input.parse::<Option<Token![=]>>()?.is_some() {
            input.parse::<syn::Expr>()?;
        }
        return Ok(None);
    }
    let number: LitInt = syntax::value(key, input, "status = 409")?;
    match number.base10_parse::<u16>() {
        Ok(status) if (400..=599).contains(&status) => Ok(Some(status)),
        _ => {
            diag.error(number.span(), format_args!("invalid status `{number}`"))
                .help("a refusal is a status from 400 to 599; without `status` it is 400");
            Ok(None)
        }
    }
}

fn impls(name: &Ident, arms: &[Arms]) -> TokenStream {
    let (pattern, text): (Vec<_>, Vec<_>) = arms.iter().map(|a| (&a.pattern, &a.text)).unzip();
    let (any, status): (Vec<_>, Vec<_>) = arms.iter().map(|a| (&a.any, a.status)).unzip();
    let code = arms.iter().map(|a| &a.code);
    let f = format_ident!("__f");
    // A reference to an enum without variants cannot be matched, the enum can.
    let this = if arms.is_empty() {
        quote!(*self)
    } else {
        quote!(self)
    };
    quote! {
        impl __m::Model for #name {}
        #[allow(unused_variables)]
        impl ::core::fmt::Display for #name {
            fn fmt(&self, #f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match #this { #(#pattern => ::core::write!(#f, #text),)* }
            }
        }
        impl ::core::error::Error for #name {}
        impl __m::ErrorModel for #name {
            fn status(&self) -> u16 {
                match #this { #(#any => #status,)* }
            }
            fn code(&self) -> &'static str {
                match #this { #(#any => #code,)* }
            }
        }
    }
}
