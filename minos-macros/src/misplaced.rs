//! Attributes that only another attribute reads: on their own they say where they belong.

use proc_macro2::{Span, TokenStream};

use crate::diag::{Diagnostics, one_of};

/// An attribute that its home takes off before it runs.
pub(crate) struct Misplaced {
    pub(crate) attribute: &'static str,
    /// One home, or two.
    pub(crate) homes: &'static [&'static str],
}

impl Misplaced {
    pub(crate) fn explain(&self, item: &TokenStream, diag: &mut Diagnostics) -> TokenStream {
        let Self { attribute, homes } = self;
        let homes: Vec<String> = homes.iter().map(|home| format!("#[{home}]")).collect();
        let homes = one_of(&homes.iter().map(String::as_str).collect::<Vec<_>>());
        let spelled = if attribute.contains("::") {
            ", spelled with this path"
        } else {
            ""
        };
        diag.error(
            Span::call_site(),
            format_args!(
                "`{attribute}` works only on a method of an `impl` block under {homes}{spelled}"
            ),
        )
        .help(format_args!(
            "put {homes} on the `impl` block, and `#[{attribute}]` on the method"
        ));
        item.clone()
    }
}
