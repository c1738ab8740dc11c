use proc_macro2::TokenStream;
use quote::quote;

use super::{Expand, contains, contains_none, expand};
use crate::{
    aggregate::{self, Owner},
    data,
};

const AGGREGATE: Expand = |args, item, diag| aggregate::aggregate(Owner::Us, args, item, diag);

#[test]
fn a_derive_that_the_user_wrote_below_is_not_repeated() {
    let item = quote! {
        #[derive(Eq, serde::Serialize)]
        #[derive(::core::clone::Clone)]
        struct Data { text: String }
    };
    let out = expand(data::model, TokenStream::new(), item);
    contains(
        &out,
        &[
            "::core::fmt::Debug",
            "schemars::JsonSchema",
            "serde::Deserialize",
        ],
    );
    contains_none(&out, &["__private::serde::Serialize"]);
    assert_eq!(out.matches("Clone").count(), 1, "{out}");
}

#[test]
fn all_helpers_stand_in_constants_and_start_with_underscores() {
    let item = quote!(
        struct Foo {
            #[unique]
            bar: String,
        }
    );
    let out = expand(AGGREGATE, TokenStream::new(), item);
    let outside: Vec<&str> = out
        .lines()
        .filter(|line| !line.starts_with([' ', '}', ')', '#', '/']))
        .collect();
    assert_eq!(
        outside,
        [
            "const _: () = {",
            "struct Foo {",
            "struct FooDiff {",
            "struct FooFields {",
            "impl Foo {",
            "const _: () = {",
        ]
    );
    for path in ["std::", "core::", "minos::"] {
        let relative = out
            .match_indices(path)
            .filter(|(at, _)| !out[..*at].ends_with("::"));
        assert_eq!(relative.count(), 0, "a relative `{path}` in:\n{out}");
    }
}

#[test]
fn a_field_whose_serde_form_is_the_users_is_not_asked_about() {
    let item = quote! {
        struct Data {
            #[serde(with = "cents")]
            cents: Cents,
            text: String,
        }
    };
    let out = expand(data::model, TokenStream::new(), item);
    contains(&out, &["Kept::<String>"]);
    contains_none(&out, &["Kept::<Cents>"]);
}

#[test]
fn an_event_is_no_target_of_a_step() {
    let item = quote!(
        struct OrderPaid;
    );
    let out = expand(data::contract, quote!("order.paid", event), item.clone());
    contains(
        &out,
        &[
            "IsEvent for OrderPaid",
            "NAME: &'static str = \"order.paid\"",
        ],
    );
    contains_none(&out, &["StepTarget", "Sends"]);
    let out = expand(data::contract, quote!(query), item);
    contains(
        &out,
        &[
            "IsQuery for OrderPaid",
            "StepTarget for OrderPaid",
            "SendsQuery",
        ],
    );
}

#[test]
fn old_names_of_a_field_are_read_in_diffs_too() {
    let item = quote!(
        struct Foo {
            #[serde(default, alias = "baz")]
            bar: String,
        }
    );
    let out = expand(AGGREGATE, TokenStream::new(), item);
    contains(&out, &["\"bar\" | \"baz\" => __m::read_change"]);
}
