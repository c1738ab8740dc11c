//! Attributes that only another attribute reads: on their own they say where they belong.

use proc_macro2::{Span, TokenStream};

use crate::diag::Diagnostics;

/// An attribute that its home takes off before it runs.
pub(crate) struct Misplaced {
    pub(crate) attribute: &'static str,
    pub(crate) home: &'static str,
}

impl Misplaced {
    pub(crate) fn explain(&self, item: &TokenStream, diag: &mut Diagnostics) -> TokenStream {
        let Self { attribute, home } = self;
        let spelled = if attribute.contains("::") {
            ", spelled with this path"
        } else {
            ""
        };
        diag.error(
            Span::call_site(),
            format_args!(
                "`{attribute}` works only on a method of an `impl` block under `#[{home}]`{spelled}"
            ),
        )
        .help(format_args!(
            "put `#[{home}]` on the `impl` block, and `#[{attribute}]` on the method"
        ));
        item.clone()
    }
}
