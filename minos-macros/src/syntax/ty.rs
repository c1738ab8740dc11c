//! Small questions about types and items.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Receiver, ReceiverKind, Type, ext::IdentExt as _};

/// A name as users say it: `r#type` is `type`.
pub(crate) fn unraw(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// The last segment of a type's path, such as `Foo` of `crate::Foo`.
pub(crate) fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => unraw(&last.ident),
            None => String::new(),
        },
        Type::Group(group) => type_name(&group.elem),
        Type::Paren(paren) => type_name(&paren.elem),
        other => other.to_token_stream().to_string(),
    }
}

/// How a method takes its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Receives {
    Shared,
    Exclusive,
    Value,
}

/// `&self`, `&mut self`, or `self`, however it is spelled.
pub(crate) fn receives(receiver: &Receiver) -> Receives {
    let mutable = match &receiver.kind {
        ReceiverKind::Reference(_, _, mutable) => mutable.is_some(),
        ReceiverKind::Typed(_, ty) => match &**ty {
            Type::Reference(ty) => ty.mutability.is_some(),
            _ => return Receives::Value,
        },
        _ => return Receives::Value,
    };
    if mutable {
        Receives::Exclusive
    } else {
        Receives::Shared
    }
}

/// What an item is, for an error that its attribute stands on the wrong thing: the token, and the word for it.
pub(crate) fn item_kind(item: &TokenStream) -> Option<(TokenTree, &'static str)> {
    const KINDS: [(&str, &str); 10] = [
        ("struct", "a `struct`"),
        ("enum", "an `enum`"),
        ("union", "a `union`"),
        ("fn", "a function"),
        ("impl", "an `impl` block"),
        ("trait", "a `trait`"),
        ("mod", "a module"),
        ("type", "a type alias"),
        ("static", "a `static`"),
        ("const", "a `const`"),
    ];
    let mut const_token = None;
    for token in item.clone() {
        let TokenTree::Ident(ident) = &token else {
            continue;
        };
        let found = KINDS.iter().find(|(word, _)| ident == word);
        match found {
            // `const` may be the item, or a modifier of the `fn` behind it.
            Some((_, what)) if ident == "const" => const_token = Some((token, *what)),
            Some((_, what)) => return Some((token, what)),
            None => {}
        }
    }
    const_token
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::item_kind;

    #[test]
    fn the_kind_of_an_item_is_found_behind_attributes_and_visibility() {
        let kind = |item| item_kind(&item).map(|(_, what)| what);
        assert_eq!(
            kind(quote!(
                #[a(struct)]
                pub(crate) enum A {}
            )),
            Some("an `enum`")
        );
        assert_eq!(
            kind(quote!(
                pub const fn a() {}
            )),
            Some("a function")
        );
        assert_eq!(
            kind(quote!(
                const A: u8 = 0;
            )),
            Some("a `const`")
        );
        assert_eq!(kind(quote!(impl A {})), Some("an `impl` block"));
    }
}
