//! An impl block whose method bodies stay tokens, so that half-typed code still expands.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::{
    Attribute, Generics, ItemImpl, Signature, Token, Type, Visibility,
    parse::{ParseStream, Parser},
    parse_quote,
};

use crate::diag::Diagnostics;

/// An impl block as the user wrote it.
pub(crate) struct ImplBlock {
    /// Everything before the braces, with the attributes.
    head: TokenStream,
    braces: Group,
    pub(crate) self_ty: Type,
    pub(crate) generics: Generics,
    pub(crate) of_trait: Option<syn::Path>,
    inner: Vec<Attribute>,
    pub(crate) members: Vec<Member>,
}

/// One thing in an impl block.
pub(crate) enum Member {
    Method(Box<Method>),
    Other(TokenStream),
}

/// A method: its body is what stands between the braces, never looked into.
pub(crate) struct Method {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenTree,
}

impl ImplBlock {
    /// Reads an impl block; [`None`] if the item is something else, or rustc already refused its head.
    pub(crate) fn parse(item: &TokenStream, diag: &mut Diagnostics) -> Option<Self> {
        let mut head: Vec<TokenTree> = item.clone().into_iter().collect();
        let Some(TokenTree::Group(braces)) = head.pop() else {
            return None;
        };
        if braces.delimiter() != Delimiter::Brace {
            return None;
        }
        let head: TokenStream = head.into_iter().collect();
        let mut empty = head.clone();
        empty.append(Group::new(Delimiter::Brace, TokenStream::new()));
        let parsed: ItemImpl = syn::parse2(empty).ok()?;
        let mut block = Self {
            head,
            braces: braces.clone(),
            self_ty: *parsed.self_ty,
            generics: parsed.generics,
            of_trait: parsed.trait_.map(|(path, _)| path),
            inner: Vec::new(),
            members: Vec::new(),
        };
        let read = |input: ParseStream<'_>| {
            block.inner = Attribute::parse_inner(input)?;
            while !input.is_empty() {
                block.members.push(member(input, diag)?);
            }
            Ok(())
        };
        if let Err(e) = read.parse2(braces.stream()) {
            diag.syntax(e);
        }
        Some(block)
    }

    pub(crate) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.members.iter().filter_map(|m| match m {
            Member::Method(method) => Some(&**method),
            Member::Other(_) => None,
        })
    }
}

fn member(input: ParseStream<'_>, diag: &mut Diagnostics) -> syn::Result<Member> {
    let attrs = Attribute::parse_outer(input)?;
    let fork = input.fork();
    let vis: Visibility = fork.parse()?;
    if starts_function(&fork) {
        match fork.parse::<Signature>() {
            Ok(sig) => {
                syn::parse::discouraged::Speculative::advance_to(input, &fork);
                let body = input.parse::<TokenTree>()?;
                let method = Method {
                    attrs,
                    vis,
                    sig,
                    body,
                };
                return Ok(Member::Method(Box::new(method)));
            }
            Err(e) => diag.syntax(e),
        }
    }
    let mut raw = TokenStream::new();
    raw.append_all(attrs);
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let last = match &token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            _ => false,
        };
        raw.append(token);
        if last {
            break;
        }
    }
    Ok(Member::Other(raw))
}

/// Whether a function comes next, behind any modifiers.
fn starts_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    loop {
        if ahead.peek(Token![fn]) {
            return true;
        }
        let modifier = ahead.peek(Token![const])
            || ahead.peek(Token![async])
            || ahead.peek(Token![unsafe])
            || ahead.peek(Token![extern])
            || ahead.peek(syn::LitStr);
        if !modifier || ahead.parse::<TokenTree>().is_err() {
            return false;
        }
    }
}

impl Method {
    /// The attributes that decide whether the method exists.
    pub(crate) fn cfgs(&self) -> Vec<Attribute> {
        let cfgs = self.attrs.iter().filter(|a| a.path().is_ident("cfg"));
        cfgs.cloned().collect()
    }

    /// Keeps clippy from objecting to a form that the macro asks for: async whether or not something is awaited, and
    /// input by value.
    pub(crate) fn allow_our_form(&mut self) {
        self.attrs.push(parse_quote! {
            #[allow(clippy::needless_pass_by_value, clippy::unused_async, clippy::unused_self)]
        });
    }

    pub(crate) fn name(&self) -> String {
        super::unraw(&self.sig.ident)
    }

    pub(crate) fn span(&self) -> Span {
        self.sig.ident.span()
    }

    /// What it answers, if it says so.
    pub(crate) fn output(&self) -> Option<&Type> {
        match &self.sig.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, ty) => Some(ty),
        }
    }
}

impl ToTokens for Method {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

impl ToTokens for Member {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Member::Method(method) => method.to_tokens(tokens),
            Member::Other(other) => other.to_tokens(tokens),
        }
    }
}

impl ToTokens for ImplBlock {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.head.to_tokens(tokens);
        let mut body = TokenStream::new();
        body.append_all(&self.inner);
        body.append_all(&self.members);
        let mut braces = Group::new(Delimiter::Brace, body);
        braces.set_span(self.braces.span());
        tokens.append(braces);
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn everything_is_kept_in_order() {
        let item = quote! {
            #[allow(dead_code)] impl<T> Foo<T> where T: Copy {
                #![allow(unused)]
                const A: usize = { 3 };
                type B = fn(u8) -> u8;
                /// Says something.
                #[inline] pub(crate) async fn a(&self) -> [u8; { 2 }] { not rust at all .. , }
                some_macro! { whatever }
                pub const unsafe extern "C" fn b<const N: usize>() -> Foo<{ N }> {}
            }
        };
        let mut diag = Diagnostics::default();
        let block = ImplBlock::parse(&item, &mut diag).unwrap();
        assert!(diag.is_empty());
        assert_eq!(block.methods().count(), 2);
        assert_eq!(block.to_token_stream().to_string(), item.to_string());
    }

    #[test]
    fn another_item_is_none() {
        let mut diag = Diagnostics::default();
        assert!(
            ImplBlock::parse(
                &quote!(
                    struct Foo;
                ),
                &mut diag
            )
            .is_none()
        );
        assert!(
            ImplBlock::parse(
                &quote!(
                    struct Foo {}
                ),
                &mut diag
            )
            .is_none()
        );
        assert!(diag.is_empty());
    }
}
