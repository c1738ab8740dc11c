//! `#[minos::crash_test]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, Ident, ReturnType, Signature, Token, parse::Parser, punctuated::Punctuated};

use crate::{
    diag::Diagnostics,
    syntax::{self, Function},
};

const FORM: &str = "write `#[minos::crash_test(foo::service())] fn a_name() -> YourSaga { .. }`";

pub(crate) fn crash_test(
    args: &TokenStream,
    item: &TokenStream,
    diag: &mut Diagnostics,
) -> TokenStream {
    let Some(function) = Function::parse(item) else {
        if let Some((token, what)) = syntax::item_kind(item) {
            diag.error(
                token.span(),
                format_args!("`#[minos::crash_test]` goes on a function, found {what}"),
            )
            .help(FORM);
        }
        return item.clone();
    };
    let services = services(args, &function.sig.ident, diag);
    check(&function.sig, diag);
    if diag.is_empty() {
        expand(&function, &services)
    } else {
        item.clone()
    }
}

/// The services that take part.
fn services(args: &TokenStream, at: &Ident, diag: &mut Diagnostics) -> Vec<Expr> {
    let parsed = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(args.clone());
    match parsed {
        Ok(services) => {
            if services.is_empty() {
                diag.error(at.span(), "this crash test runs no service")
                    .help("name all that the saga talks to: `#[minos::crash_test(foo::service(), bar::service())]`");
            }
            services.into_iter().collect()
        }
        Err(e) => {
            diag.syntax(e);
            Vec::new()
        }
    }
}

fn check(sig: &Signature, diag: &mut Diagnostics) {
    if let Some(asyncness) = &sig.asyncness {
        diag.error(
            asyncness.span,
            "a crash test only makes the saga, so it is not async",
        )
        .help(FORM);
    }
    if !sig.inputs.is_empty() {
        diag.error_on(&sig.inputs, "a crash test takes no parameters")
            .help(FORM);
    }
    if !sig.generics.params.is_empty() {
        diag.error_on(&sig.generics, "a crash test has no generics")
            .help(FORM);
    }
    if matches!(sig.output, ReturnType::Default) {
        diag.error(
            sig.ident.span(),
            "a crash test returns the saga that is run, or a `minos::testing::CrashTest` of it",
        )
        .help(FORM);
    }
}

fn expand(function: &Function, services: &[Expr]) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let (ident, output) = (&sig.ident, &sig.output);
    quote! {
        #(#attrs)*
        #[test]
        #vis fn #ident() -> ::minos::Result<()> {
            fn #ident() #output #body
            ::minos::testing::crash_test(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident)),
                || ::std::vec![#(#services),*],
                #ident,
            )
            .map(|_| ())
        }
    }
}
