//! Whatever is wrong, the user's item survives, and all of it is said.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Expand, contains, contains_none, refuse};
use crate::{
    aggregate::{self, Owner},
    data,
    enroute::{self, Service},
    entry_point,
    saga::saga,
};

const COMMAND: Expand = |args, item, diag| enroute::service(Service::Command, args, item, diag);
const AGGREGATE: Expand = |args, item, diag| aggregate::aggregate(Owner::Us, args, item, diag);

#[test]
fn good_handlers_stay_registered_beside_bad_ones() {
    let item = quote! {
        impl Foos {
            #[enroute::broker::command("Create Foo")]
            async fn bad(&self) -> Result<()> {}
            #[enroute::broker::command("DeleteFoo")]
            async fn good(&self) -> Result<()> {}
        }
    };
    let (out, texts) = refuse(COMMAND, TokenStream::new(), item);
    assert_eq!(texts.len(), 1);
    contains(
        &out,
        &[
            "async fn bad(&self)",
            "Self::good(__s)",
            "impl __m::Serves for Foos",
        ],
    );
    contains_none(&out, &["Self::bad", "#[enroute"]);
}

#[test]
fn a_body_is_never_looked_into() {
    let item: TokenStream =
        "impl Foos { #[enroute::broker::command(\"A\")] async fn a(&self) -> Result<()> \
                             { let text = request. @ # ; } }"
            .parse()
            .unwrap();
    let mut diag = crate::diag::Diagnostics::default();
    let out = COMMAND(&TokenStream::new(), &item, &mut diag).to_string();
    assert!(diag.is_empty());
    assert!(out.contains("let text = request . @ # ;"), "{out}");
    assert!(out.contains("Self :: a (__s"), "{out}");
}

#[test]
fn an_attribute_on_the_wrong_item_leaves_it_alone() {
    let all: [Expand; 7] = [
        data::model,
        data::contract,
        data::error_model,
        data::read_model,
        AGGREGATE,
        COMMAND,
        saga,
    ];
    for expand in all {
        let (out, texts) = refuse(
            expand,
            TokenStream::new(),
            quote!(
                fn kept() {}
            ),
        );
        assert_eq!(out, "fn kept() {}\n");
        assert_eq!(texts.len(), 1, "{texts:?}");
    }
    let (out, texts) = refuse(
        entry_point::main,
        TokenStream::new(),
        quote!(
            struct Kept;
        ),
    );
    assert_eq!((out.as_str(), texts.len()), ("struct Kept;\n", 1));
}

#[test]
fn a_saga_with_a_wrong_group_is_one_all_the_same() {
    let item = quote! {
        impl Order {
            #[step(parallel = booking, no_compensation = "why")]
            fn hotel(&self) -> Book {}
            #[step(parallel = bookng, no_compensation = "why")]
            fn flight(&self) -> Book {}
            #[step(parallel = booking, no_compensation = "why")]
            fn car(&self) -> Book {}
        }
    };
    let (out, texts) = refuse(saga, TokenStream::new(), item);
    assert_eq!(
        texts,
        ["group `bookng` has one step\nhelp: did you mean `booking`?"]
    );
    contains(&out, &["impl __m::Saga for Order", "fn flight(&self)"]);
    contains_none(&out, &["#[step", ".needs_no_undo()"]);
}

#[test]
fn our_attributes_are_gone_even_from_what_is_refused() {
    let item = quote!(
        struct Foo {
            #[unique(x)]
            #[serde(skip)]
            uuid: Uuid,
        }
    );
    let (out, texts) = refuse(AGGREGATE, quote!(events = E), item);
    assert_eq!(texts.len(), 4, "{texts:?}");
    contains_none(&out, &["unique(", "#[unique"]);
    contains(&out, &["struct Foo {", "#[serde(skip)]"]);
}
