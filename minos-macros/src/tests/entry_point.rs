use proc_macro2::TokenStream;
use quote::quote;

use super::{contains, expand};
use crate::entry_point::main;

#[test]
fn main_runs_and_its_wiring_is_tested() {
    let out = expand(
        main,
        TokenStream::new(),
        quote! {
            /// Starts.
            #[allow(dead_code)]
            pub(crate) async fn main() -> minos::Result<()> { minos::run([foo::service()]).await }
        },
    );
    contains(
        &out,
        &[
            "async fn __minos_main() -> minos::Result<()> {",
            "pub(crate) fn main() -> ::std::process::ExitCode {",
            "::minos::__private::block_on(__minos_main())",
            "#[cfg(test)]\n#[test]\nfn minos_wiring()",
            "/// Starts.",
        ],
    );
}
