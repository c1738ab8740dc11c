//! Around every macro: panics are caught, errors are appended, the expansion can be printed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proc_macro2::TokenStream;

use crate::diag::Diagnostics;

/// Runs one macro over an item. The item survives whatever happens.
pub(crate) fn run(
    item: &TokenStream,
    expand: impl FnOnce(&TokenStream, &mut Diagnostics) -> TokenStream,
) -> TokenStream {
    let expanded = catch_unwind(AssertUnwindSafe(|| {
        let mut diag = Diagnostics::default();
        let mut tokens = expand(item, &mut diag);
        tokens.extend(diag.into_tokens());
        tokens
    }));
    let tokens = expanded.unwrap_or_else(|panic| {
        let mut tokens = item.clone();
        tokens.extend(internal_error(&*panic));
        tokens
    });
    if std::env::var_os("MINOS_MACROS_DEBUG").is_some_and(|v| v == "1") {
        eprintln!("{tokens}");
    }
    tokens
}

fn internal_error(panic: &(dyn std::any::Any + Send)) -> TokenStream {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned());
    let mut diag = Diagnostics::default();
    diag.error(
        proc_macro2::Span::call_site(),
        format_args!("internal error in minos-macros: {text}; please report it with this item"),
    );
    diag.into_tokens()
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::run;

    #[test]
    fn our_bug_is_reported_and_keeps_the_item() {
        let item = quote!(
            struct Foo;
        );
        let out = run(&item, |_, _| panic!("no such step")).to_string();
        assert!(out.starts_with("struct Foo ;"));
        assert!(out.contains(
            "internal error in minos-macros: no such step; please report it with this item"
        ));
    }
}
