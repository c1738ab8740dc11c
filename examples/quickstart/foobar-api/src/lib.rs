//! What the service `foobar` agrees on with those who call it: its commands, their replies and refusals.

use minos::prelude::*;

/// Creates a foobar.
#[contract("CreateFooBar", reply = FooBarCreated, error = FooBarError)]
pub struct CreateFooBar {
    /// Any number.
    pub number: i32,
    /// A text that no other foobar has.
    pub text: String,
}

/// Deletes a foobar. One that is gone already is as good as deleted, so that it may be asked for twice.
#[contract("DeleteFooBar")]
pub struct DeleteFooBar {
    /// Which.
    pub uuid: Uuid,
}

/// The reply to [`CreateFooBar`].
#[model]
pub struct FooBarCreated {
    /// The new foobar.
    pub uuid: Uuid,
}

/// Why a foobar is refused.
#[error_model]
pub enum FooBarError {
    /// Another foobar has this text.
    #[error(status = 409, "a foobar saying {text:?} exists already")]
    Exists {
        /// The text.
        text: String,
    },
    /// There is no text.
    #[error(status = 422, "a foobar must say something")]
    Empty,
}
