//! Reading what users write, independent of the macro they write it for.

mod duration;
mod function;
mod impl_block;
mod keys;
mod names;
mod ty;

pub(crate) use self::{
    duration::duration,
    function::Function,
    impl_block::{ImplBlock, Member, Method},
    keys::{Keys, flag, reason, string, value},
    names::{EventName, event_name, rest_path, topic},
    ty::{Receives, item_kind, receives, type_name, unraw},
};

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};

/// The user's place, resolved as our code: the user's lints leave it alone, our names are found.
pub(crate) fn at(span: Span) -> Span {
    span.resolved_at(Span::call_site())
}

/// `__m::question::<ty>(arguments)` at exactly the place of the type. Rustc reports one unmet condition at one place
/// once, however many questions imply it.
pub(crate) fn asked(question: &str, ty: impl ToTokens, arguments: &TokenStream) -> TokenStream {
    let tokens = ty.to_token_stream();
    let mut spans = tokens.clone().into_iter().map(|t| t.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    let end = spans.last().unwrap_or(start);
    let question = Ident::new(question, start);
    let mut call = quote_spanned!(start=> __m::#question::<#tokens);
    call.extend(quote_spanned!(end=> >(#arguments)));
    call
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
