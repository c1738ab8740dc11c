//! What all attributes on structs and enums have in common.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Data, DeriveInput, Field, Fields, Type, spanned::Spanned as _};

use crate::{diag::Diagnostics, syntax};

/// What an attribute may stand on.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Any struct or enum.
    StructOrEnum,
    /// An enum.
    Enum,
    /// A struct with named fields.
    NamedFields,
}

impl Shape {
    fn words(self) -> &'static str {
        match self {
            Shape::StructOrEnum => "a `struct` or an `enum`",
            Shape::Enum => "an `enum`",
            Shape::NamedFields => "a `struct` with named fields",
        }
    }

    fn fits(self, data: &Data) -> bool {
        match (self, data) {
            (Shape::StructOrEnum, Data::Struct(_) | Data::Enum(_))
            | (Shape::Enum, Data::Enum(_)) => true,
            (Shape::NamedFields, Data::Struct(data)) => matches!(data.fields, Fields::Named(_)),
            _ => false,
        }
    }
}

/// Reads the item under `attribute`; [`None`] if it stands on something else.
pub(crate) fn read(
    item: &TokenStream,
    attribute: &str,
    shape: Shape,
    diag: &mut Diagnostics,
) -> Option<DeriveInput> {
    let parsed = syn::parse2::<DeriveInput>(item.clone());
    let input = match parsed {
        Ok(input) if shape.fits(&input.data) => input,
        Ok(input) if matches!(input.data, Data::Struct(_)) && shape == Shape::NamedFields => {
            let text = format!("`#[{attribute}]` goes on {}", shape.words());
            let name = syntax::unraw(&input.ident);
            diag.error(input.ident.span(), text)
                .help(format_args!("write `struct {name} {{ field: Type }}`"));
            return None;
        }
        parsed => {
            let Some((token, what)) = syntax::item_kind(item) else {
                if let Err(e) = parsed {
                    diag.syntax(e);
                }
                return None;
            };
            let words = shape.words();
            diag.error(
                token.span(),
                format_args!("`#[{attribute}]` goes on {words}, found {what}"),
            );
            return None;
        }
    };
    if !input.generics.params.is_empty() {
        diag.error_on(
            &input.generics,
            format_args!("`#[{attribute}]` types have no generics"),
        )
        .help("each concrete type has its own name and schema on the wire; write one type per use");
        return None;
    }
    Some(input)
}

/// Refuses arguments of an attribute that has none.
pub(crate) fn no_arguments(args: &TokenStream, attribute: &str, diag: &mut Diagnostics) {
    if !args.is_empty() {
        diag.error_on(args, format_args!("`{attribute}` takes no arguments"))
            .help(format_args!("write `#[{attribute}]`"));
    }
}

/// The derives of a model, without those that the user wrote below.
pub(crate) fn derives(attrs: &[Attribute]) -> TokenStream {
    let wrote = written_derives(attrs);
    let all = [
        ("Clone", quote!(::core::clone::Clone)),
        ("Debug", quote!(::core::fmt::Debug)),
        ("PartialEq", quote!(::core::cmp::PartialEq)),
        ("Serialize", quote!(::minos::__private::serde::Serialize)),
        (
            "Deserialize",
            quote!(::minos::__private::serde::Deserialize),
        ),
        (
            "JsonSchema",
            quote!(::minos::__private::schemars::JsonSchema),
        ),
    ];
    let missing = all
        .into_iter()
        .filter(|(name, _)| !wrote.iter().any(|w| w == name))
        .map(|(_, path)| path);
    quote! {
        #[derive(#(#missing),*)]
        #[serde(crate = "::minos::__private::serde")]
        #[schemars(crate = "::minos::__private::schemars")]
    }
}

fn written_derives(attrs: &[Attribute]) -> Vec<String> {
    let mut names = Vec::new();
    for attr in attrs.iter().filter(|a| a.path().is_ident("derive")) {
        // What does not parse as a list of paths is rustc's to explain.
        let _ = attr.parse_nested_meta(|meta| {
            names.extend(meta.path.segments.last().map(|s| syntax::unraw(&s.ident)));
            Ok(())
        });
    }
    names
}

/// One question per field, so that a type that is no model is named in our words at its own place. It stands before
/// the item: rustc then asks it before the derives, whose words are about serde.
pub(crate) fn field_checks(data: &Data) -> TokenStream {
    let fields: Vec<&Field> = match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|v| &v.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let asked = fields.into_iter().filter(|field| !goes_its_own_way(field));
    let questions: TokenStream = asked.map(|field| field_check(&field.ty)).collect();
    if questions.is_empty() {
        return questions;
    }
    quote! {
        const _: fn() = || {
            use ::minos::__private::{self as __m, KeptAsIs as _, KeptAsModel as _};
            #questions
        };
    }
}

/// Whether serde does not use the field's type as it is.
fn goes_its_own_way(field: &Field) -> bool {
    field.attrs.iter().any(|a| {
        let path = a.path();
        (path.is_ident("serde") || path.is_ident("schemars"))
            && a.meta.require_list().is_ok_and(|list| {
                let text = list.tokens.to_string();
                ["skip", "with", "remote", "getter", "flatten"]
                    .iter()
                    .any(|word| text.contains(word))
            })
    })
}

fn field_check(ty: &Type) -> TokenStream {
    let span: Span = syntax::at(ty.span());
    quote_spanned!(span=> (&&__m::Kept::<#ty>::NEW).kept();)
}
