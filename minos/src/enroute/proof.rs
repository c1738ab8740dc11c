//! Questions that generated code asks rustc, so that the answer comes in our words at the user's types.

use super::{Content, Outcome, Request};
use crate::message::Contract;

#[diagnostic::on_unimplemented(
    message = "the handler of contract `{C}` takes `{Self}`",
    label = "expected `Request<{C}>`"
)]
pub trait Takes<C> {}
impl<C, P> Takes<C> for Request<C, P> {}

#[diagnostic::on_unimplemented(
    message = "the contract promises the reply `{Expected}`, this handler answers `{Self}`",
    label = "expected `Result<{Expected}, ..>`",
    note = "change the handler, or `reply = ..` of the contract"
)]
pub trait Answers<Expected> {}
impl<T> Answers<T> for T {}

#[diagnostic::on_unimplemented(
    message = "the contract promises the error `{Expected}`, this handler refuses with `{Self}`",
    label = "expected `Result<.., Error<{Expected}>>`",
    note = "change the handler, or `error = ..` of the contract"
)]
pub trait Refuses<Expected> {}
impl<T> Refuses<T> for T {}

/// The handler takes the contract's content.
pub const fn takes<C: Contract, R: Takes<C>>() {}

/// The handler answers the contract's reply.
pub const fn answers<C: Contract, O: Outcome>()
where
    O::Ok: Answers<C::Reply>,
{
}

/// The handler refuses with the contract's error.
pub const fn refuses<C: Contract, O: Outcome>()
where
    O::Err: Refuses<C::Error>,
{
}

/// The content of an event handler can be read.
pub const fn takes_event<C: Content>() {}

/// Fails to compile where a contract's wire name is not the one that the macro took from its type.
#[allow(clippy::panic, reason = "evaluated by the compiler")]
pub const fn named<C: Contract>(name: &str) {
    let (a, b) = (C::NAME.as_bytes(), name.as_bytes());
    let mut same = a.len() == b.len();
    let mut i = 0;
    while same && i < a.len() {
        same = a[i] == b[i];
        i += 1;
    }
    assert!(
        same,
        "this contract has another name than its type: write the topic as `\"name\" = Type`"
    );
}
