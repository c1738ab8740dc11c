//! One more handler costs few expanded lines: users pay for each of them with compile time.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::expand;
use crate::enroute::{self, Service};

/// The lines of the expansion of one more handler with these attributes, without the method itself.
fn lines_of(service: Service, attributes: impl Fn(usize) -> TokenStream) -> usize {
    let lines = |count: usize| {
        let methods = |attributes: &dyn Fn(usize) -> TokenStream| -> TokenStream {
            let methods = (0..count).map(|i| {
                let (attributes, name) = (attributes(i), format_ident!("handle_{i}"));
                quote! {
                    #attributes
                    async fn #name(&self, cx: &Context, request: Request<CreateFooBar>) -> Result<FooBarCreated> {
                        Ok(())
                    }
                }
            });
            quote!(impl FooCommandService { #(#methods)* })
        };
        let expanded = expand(
            |service, item, diag| {
                let query = service.to_string() == "query";
                let service = if query {
                    Service::Query
                } else {
                    Service::Command
                };
                enroute::service(service, &TokenStream::new(), item, diag)
            },
            match service {
                Service::Query => quote!(query),
                Service::Command => quote!(command),
            },
            methods(&attributes),
        );
        let written = super::pretty(methods(&|_| TokenStream::new()));
        expanded.lines().count() - written.lines().count()
    };
    lines(3) - lines(2)
}

#[test]
fn a_literal_topic_adds_at_most_12_lines() {
    let text = |i: usize| format!("CreateFooBar{i}");
    let path = |i: usize| format!("/foos/{{uuid}}/bars{i}");
    let literal: [(&str, usize); 5] = [
        (
            "broker::command",
            lines_of(Service::Command, |i| {
                let topic = text(i);
                quote!(#[enroute::broker::command(#topic)])
            }),
        ),
        (
            "broker::query",
            lines_of(Service::Query, |i| {
                let topic = text(i);
                quote!(#[enroute::broker::query(#topic)])
            }),
        ),
        (
            "broker::event",
            lines_of(
                Service::Command,
                |_| quote!(#[enroute::broker::event("FooBarUpdated")]),
            ),
        ),
        (
            "rest::command",
            lines_of(Service::Command, |i| {
                let path = path(i);
                quote!(#[enroute::rest::command(#path, "POST")])
            }),
        ),
        (
            "rest::query",
            lines_of(Service::Query, |i| {
                let path = path(i);
                quote!(#[enroute::rest::query(#path, "GET")])
            }),
        ),
    ];
    for (enroute, lines) in literal {
        println!("{enroute}: {lines}");
        assert!(lines <= 12, "{enroute} adds {lines} lines");
    }
}

#[test]
fn a_contract_adds_its_proofs() {
    let lines = lines_of(Service::Command, |i| {
        let topic = format!("CreateFooBar{i}");
        quote!(#[enroute::broker::command(#topic = CreateFooBar)])
    });
    println!("broker::command with a contract: {lines}");
    assert!(lines <= 16, "{lines} lines");
}

#[test]
fn a_step_of_a_saga_adds_at_most_20_lines() {
    let saga_of = |count: usize| {
        let methods = (0..count).map(|i| {
            let name = format_ident!("step_{i}");
            quote! {
                #[step(ignore_reply = "why", on_error = no, compensate = undo, when = open, timeout = "5s", retry = 3)]
                fn #name(&self) -> CreateFooBar {
                    CreateFooBar
                }
            }
        });
        expand(
            crate::saga::saga,
            TokenStream::new(),
            quote!(impl Order { #(#methods)* fn no(&self) {} fn undo(&self) -> A {} fn open(&self) -> bool {} }),
        )
    };
    let (two, three) = (saga_of(2), saga_of(3));
    // The method itself has three lines and an `#[allow]`; those of the picture are text, and stand there twice.
    let lines = |out: &str| out.lines().filter(|l| !l.contains("-->")).count();
    let lines = lines(&three) - lines(&two);
    println!("step: {lines}");
    assert!(lines <= 32, "{lines} lines");
}
