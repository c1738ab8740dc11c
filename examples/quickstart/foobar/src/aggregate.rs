//! What the service keeps.

use minos::prelude::*;

/// A foobar.
#[aggregate]
pub struct FooBar {
    /// Any number.
    pub number: i32,
    /// What it says; no other foobar says the same.
    #[unique]
    pub text: String,
}
