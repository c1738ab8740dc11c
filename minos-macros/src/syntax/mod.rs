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

use proc_macro2::{Literal, Span};

/// The user's place, resolved as our code: the user's lints leave it alone, our names are found.
pub(crate) fn at(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}

/// The line of a token. `line!()` would give the line of the attribute on the impl block.
pub(crate) fn line(span: Span) -> Literal {
    // Outside of rustc, in our own tests, there are no lines.
    let line = if proc_macro::is_available() {
        span.unwrap().line()
    } else {
        1
    };
    Literal::u32_suffixed(u32::try_from(line).unwrap_or(u32::MAX))
}
