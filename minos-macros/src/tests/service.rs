use proc_macro2::TokenStream;
use quote::quote;

use super::{Expand, contains, contains_none, expand};
use crate::enroute::{self, Service};

const COMMAND: Expand = |args, item, diag| enroute::service(Service::Command, args, item, diag);

fn handler(method: TokenStream) -> String {
    expand(COMMAND, TokenStream::new(), quote!(impl Foos { #method }))
}

#[test]
fn a_route_is_data_and_one_call() {
    let out = handler(quote! {
        /// Creates.
        #[enroute::broker::command("CreateFoo")]
        async fn create(&self, cx: &Context, request: Request<CreateFoo>) -> Result<FooId> { todo!() }
    });
    contains(
        &out,
        &[
            "__m::command(\"CreateFoo\")",
            "__m::At::new(\"create\", ::core::file!(), 1u32)",
            "__m::handle::<Request<CreateFoo>, Result<FooId>, _>",
            "Self::create(__s, __cx, __r)",
            "const handler_of_CreateFoo: () = ();",
            "use enroute::broker::command as _;",
            "/// Creates.",
        ],
    );
    contains_none(&out, &["#[enroute", "unwrap", "format!", ".expect("]);
}

#[test]
fn parameters_keep_their_order_and_may_be_left_out() {
    let out = handler(quote! {
        #[enroute::broker::command("A")]
        async fn a(request: Request<A>, cx: &Context) -> Result<()> {}
        #[enroute::broker::command("B")]
        async fn b() {}
    });
    contains(
        &out,
        &[
            "Self::a(__r, __cx)",
            "Self::b()",
            "__m::handle::<(), (), _>",
        ],
    );
}

#[test]
fn events_are_taken_apart_and_claim_nothing() {
    let out = handler(quote! {
        #[enroute::broker::event("FooUpdated.bar")]
        async fn updated(&self, event: Request<Updated<Foo>>) -> Result<()> {}
        #[enroute::broker::event("order.paid" = OrderPaid)]
        async fn paid(&self, event: Request<OrderPaid>) -> Result<()> {}
    });
    contains(
        &out,
        &[
            "__m::event_of_field(\"Foo\", \"FooUpdated\", \"bar\")",
            "__m::hears::<Request<Updated<Foo>>, __m::OnUpdated>(\"Foo\")",
            "__m::event(\"order.paid\", \"order.paid\")",
            "__m::event_terms::<OrderPaid>(\"order.paid\")",
        ],
    );
    contains_none(&out, &["handler_of_"]);
}

#[test]
fn a_method_that_is_not_compiled_has_no_route() {
    let out = handler(quote! {
        #[cfg(feature = "later")]
        #[enroute::broker::command(CreateFoo)]
        async fn later(&self) -> Result<()> {}
    });
    // The method, its route, its claim, and its proof.
    assert_eq!(
        out.matches("#[cfg(feature = \"later\")]").count(),
        4,
        "{out}"
    );
}

#[test]
fn an_attribute_that_is_spelled_another_way_is_left_to_itself() {
    let mut diag = crate::diag::Diagnostics::default();
    let item = quote!(impl Foos { #[broker::command("A")] async fn a() {} });
    let out = COMMAND(&TokenStream::new(), &item, &mut diag).to_string();
    assert!(out.contains("broker :: command"), "{out}");
}
