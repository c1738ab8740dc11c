//! Every rule of the macros has a wrong use, with what the compiler says about it, and a right one.

/// `TRYBUILD=overwrite cargo test -p minos-ui-tests` writes the texts anew; read what changed.
#[rustversion::attr(not(stable(1.95)), ignore = "the texts are those of Rust 1.95")]
#[test]
fn the_compiler_says_what_is_wrong() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*/*.rs");
    cases.compile_fail("fail/*/*.rs");
}
