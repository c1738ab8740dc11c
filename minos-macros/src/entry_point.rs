//! `#[minos::main]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{ReturnType, Signature};

use crate::{
    data,
    diag::Diagnostics,
    syntax::{self, Function},
};

const FORM: &str = "write `async fn main() -> minos::Result<()>`";

pub(crate) fn main(args: &TokenStream, item: &TokenStream, diag: &mut Diagnostics) -> TokenStream {
    data::no_arguments(args, "minos::main", diag);
    let Some(function) = Function::parse(item) else {
        if let Some((token, what)) = syntax::item_kind(item) {
            diag.error(
                token.span(),
                format_args!("`#[minos::main]` goes on `async fn main`, found {what}"),
            )
            .help(FORM);
        }
        return item.clone();
    };
    check(&function.sig, diag);
    if diag.is_empty() {
        expand(&function)
    } else if function.sig.ident == "main" {
        replace(function)
    } else {
        item.clone()
    }
}

/// The body under another name, so that rustc checks it and does not explain an async `main` in its own words.
fn replace(mut function: Function) -> TokenStream {
    function.sig.ident = Ident::new("__minos_main", function.sig.ident.span());
    let (attrs, sig, body) = (function.attrs, function.sig, function.body);
    quote! {
        #(#attrs)*
        #[allow(dead_code)]
        #sig #body
        fn main() {}
    }
}

fn check(sig: &Signature, diag: &mut Diagnostics) {
    if sig.ident != "main" {
        diag.error(
            sig.ident.span(),
            "`#[minos::main]` goes on the function `main`",
        )
        .help(FORM);
    }
    if sig.asyncness.is_none() {
        diag.error(sig.fn_token.span, "`main` must be async")
            .help(FORM);
    }
    if !sig.inputs.is_empty() {
        diag.error_on(&sig.inputs, "`main` takes no parameters")
            .help("settings are read from `minos.toml` and the environment");
    }
    if !sig.generics.params.is_empty() {
        diag.error_on(&sig.generics, "`main` has no generics")
            .help(FORM);
    }
    if matches!(sig.output, ReturnType::Default) {
        diag.error(
            sig.ident.span(),
            "`main` must return a `Result`, so that its error is reported",
        )
        .help(FORM);
    }
}

fn expand(function: &Function) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let (ident, output) = (&sig.ident, &sig.output);
    quote! {
        #[doc(hidden)]
        async fn __minos_main() #output #body

        #(#attrs)*
        #vis fn #ident() -> ::std::process::ExitCode {
            ::minos::__private::block_on(__minos_main())
        }

        /// The services that `main` runs fit together.
        #[cfg(test)]
        #[test]
        fn minos_wiring() -> ::core::result::Result<(), ::minos::__private::Report> {
            ::minos::__private::wiring(__minos_main())
        }
    }
}
