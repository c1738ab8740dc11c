//! A query service has no effects: a rebuild of its views would repeat them.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{FnArg, Pat, Type};

use crate::{
    diag::Diagnostics,
    syntax::{Method, unraw},
};

const EFFECTS: [(&str, &str); 6] = [
    ("send", "send a command"),
    ("publish", "publish an event"),
    ("start", "start a saga"),
    ("start_once", "start a saga"),
    ("signal", "signal a saga"),
    ("schedule", "schedule a command"),
];

/// Changes of aggregates: they take the context.
const CHANGES: [(&str, &str); 3] = [
    ("create", "create an aggregate"),
    ("save", "change an aggregate"),
    ("delete", "delete an aggregate"),
];

// async fn a(cx: &Context) -> Result<()> { cx.send(DeleteFoo { .. }) }
// async fn a(cx: &Context) -> Result<()> { foo.save(cx) }
pub(super) fn check_changes_nothing(method: &Method, diag: &mut Diagnostics) {
    if let Some(cx) = context_name(method) {
        let name = method.name();
        search(method.body.to_token_stream(), &cx, &name, diag);
    }
}

/// The name of the parameter behind a reference.
fn context_name(method: &Method) -> Option<String> {
    method.sig.inputs.iter().find_map(|arg| match arg {
        FnArg::Typed(arg) if matches!(&*arg.ty, Type::Reference(_)) => match &*arg.pat {
            Pat::Ident(pat) => Some(unraw(&pat.ident)),
            _ => None,
        },
        _ => None,
    })
}

/// Looks for `cx . send (` and `cx . send :: <` anywhere between the braces.
fn search(tokens: TokenStream, cx: &str, method: &str, diag: &mut Diagnostics) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (i, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            search(group.stream(), cx, method, diag);
        }
        let before = i.checked_sub(1).and_then(|i| tokens.get(i));
        // `other.cx.send(..)` is about something else.
        let effect = effect(&tokens[i..], cx).filter(|_| !is_dot(before));
        if let Some((call, what)) = effect.or_else(|| change(&tokens[i..], cx)) {
            diag.error(
                call.span(),
                format_args!(
                    "a query service cannot {what}: a rebuild of its views would repeat it"
                ),
            )
            .help(format_args!(
                "react to the event in a handler of a `#[command_service]`, not in `{method}`"
            ));
        }
    }
}

fn effect<'a>(tokens: &'a [TokenTree], cx: &str) -> Option<(&'a Ident, &'static str)> {
    let [
        TokenTree::Ident(name),
        dot,
        TokenTree::Ident(call),
        next,
        ..,
    ] = tokens
    else {
        return None;
    };
    let called = match next {
        TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Parenthesis,
        TokenTree::Punct(punct) => punct.as_char() == ':',
        _ => false,
    };
    if *name != cx || !is_dot(Some(dot)) || !called {
        return None;
    }
    let (_, what) = EFFECTS.into_iter().find(|(effect, _)| call == effect)?;
    Some((call, what))
}

/// `:: create ( cx , ..`, `. save ( cx )`, and `. delete ( cx )`; a view is deleted by `:: delete ( cx , ..`.
fn change<'a>(tokens: &'a [TokenTree], cx: &str) -> Option<(&'a Ident, &'static str)> {
    let [
        mark,
        TokenTree::Ident(call),
        TokenTree::Group(arguments),
        ..,
    ] = tokens
    else {
        return None;
    };
    let arguments: Vec<TokenTree> = arguments.stream().into_iter().collect();
    let takes_cx = matches!(arguments.first(), Some(TokenTree::Ident(first)) if first == cx);
    let method = is_dot(Some(mark));
    let fits = match mark {
        TokenTree::Punct(punct) if punct.as_char() == ':' => call == "create",
        _ => method && call != "create" && arguments.len() == 1,
    };
    let (_, what) = CHANGES.into_iter().find(|(change, _)| call == change)?;
    (takes_cx && fits).then_some((call, what))
}

fn is_dot(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == '.')
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn found(body: TokenStream) -> usize {
        let mut diag = Diagnostics::default();
        search(body, "cx", "a", &mut diag);
        diag.len()
    }

    #[test]
    fn effects_are_found_however_deep() {
        assert_eq!(
            found(quote!({
                if x {
                    join!(cx.send(A))
                }
            })),
            1
        );
        assert_eq!(
            found(quote!({
                cx.start::<S>(s);
                cx.start_once("key", s).await;
                cx.signal(id, a);
                cx.publish(e);
                cx.schedule(t, c)
            })),
            5
        );
    }

    #[test]
    fn changes_of_aggregates_are_found() {
        assert_eq!(
            found(quote!({
                let mut foo = Foo::create(cx, state)?;
                foo.save(cx)?;
                foo.delete(cx)
            })),
            3
        );
        assert_eq!(
            found(quote!({
                FooView::delete(cx, &id)?;
                file.save(path)?;
                Foo::create(other, state)
            })),
            0
        );
    }

    #[test]
    fn what_is_no_effect_of_the_context_is_left_alone() {
        assert_eq!(
            found(quote!({
                cx.now();
                tx.send(a);
                self.cx.send(a);
                let f = cx.send;
                send(cx)
            })),
            0
        );
    }
}
