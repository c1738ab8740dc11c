//! A function whose body stays tokens.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Signature, Visibility,
    parse::{ParseStream, Parser},
};

/// A function; its body is not looked at.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenTree,
}

impl Function {
    /// The function in an item; [`None`] if it is something else.
    pub(crate) fn parse(item: &TokenStream) -> Option<Self> {
        let parser = |input: ParseStream<'_>| {
            Ok(Self {
                attrs: Attribute::parse_outer(input)?,
                vis: input.parse()?,
                sig: input.parse()?,
                body: input.parse()?,
            })
        };
        parser.parse2(item.clone()).ok()
    }
}
