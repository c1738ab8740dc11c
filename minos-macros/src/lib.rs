//! The attribute macros of `minos`. Use them through `minos`.
