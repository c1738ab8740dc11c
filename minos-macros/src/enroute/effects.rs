//! A query service has no effects: a rebuild of its views would repeat them.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{FnArg, Pat, Type};

use crate::{
    diag::Diagnostics,
    syntax::{Method, unraw},
};

const EFFECTS: [(&str, &str); 4] = [
    ("send", "send a command"),
    ("publish", "publish an event"),
    ("start", "start a saga"),
    ("schedule", "schedule a command"),
];

// async fn a(cx: &Context) -> Result<()> { cx.send(DeleteFoo { .. }) }
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
        if let Some((call, what)) = effect(&tokens[i..], cx)
            // `other.cx.send(..)` is about something else.
            && !is_dot(i.checked_sub(1).and_then(|i| tokens.get(i)))
        {
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
                cx.publish(e);
                cx.schedule(t, c)
            })),
            3
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
