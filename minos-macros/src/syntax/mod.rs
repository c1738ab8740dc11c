//! Reading what users write, independent of the macro they write it for.

mod duration;
mod impl_block;
mod keys;
mod names;
mod ty;

pub(crate) use self::{
    duration::duration,
    impl_block::{ImplBlock, Member, Method},
    keys::{Keys, flag, reason, string, value},
    names::{EventName, event_name, rest_path, topic},
    ty::{item_kind, type_name, unraw},
};

use proc_macro2::Span;

/// The user's place, resolved as our code: the user's lints leave it alone, our names are found.
pub(crate) fn at(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}
