//! `#[contract]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Ident, LitStr, Type,
    parse::{ParseStream, Parser},
    spanned::Spanned as _,
};

use super::{Shape, derives, field_checks, read};
use crate::{
    diag::Diagnostics,
    syntax::{self, Keys},
};

/// What a contract is for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Command,
    Query,
    Event,
}

/// The arguments of the attribute.
#[derive(Default)]
struct Args {
    name: Option<LitStr>,
    reply: Option<(Ident, Type)>,
    error: Option<(Ident, Type)>,
    query: Option<Ident>,
    event: Option<Ident>,
}

const KEYS: Keys = Keys {
    of: "contract",
    known: &["reply", "error", "query", "event"],
    elsewhere: &[(
        "command",
        "a contract is a command unless it says otherwise",
        "leave `command` out",
    )],
};

pub(crate) fn contract(
    args: &TokenStream,
    item: &TokenStream,
    diag: &mut Diagnostics,
) -> TokenStream {
    let args = parse(args, diag);
    let Some(input) = read(item, "contract", Shape::StructOrEnum, diag) else {
        return item.clone();
    };
    let kind = check(&args, diag);
    let name = match &args.name {
        Some(text) => {
            syntax::topic("topic", text, diag).unwrap_or_else(|| syntax::unraw(&input.ident))
        }
        None => syntax::unraw(&input.ident),
    };
    let (derives, impls) = (
        derives(&input.attrs),
        impls(&input.ident, &name, kind, &args),
    );
    let checks = field_checks(&input.data);
    quote! {
        #checks
        #derives
        #input
        const _: () = {
            use ::minos::__private as __m;
            #impls
        };
    }
}

fn parse(args: &TokenStream, diag: &mut Diagnostics) -> Args {
    let mut read = Args::default();
    let parser = |input: ParseStream<'_>| {
        if input.peek(LitStr) {
            read.name = Some(input.parse()?);
            if !input.is_empty() {
                input.parse::<syn::Token![,]>()?;
            }
        }
        KEYS.read(input, diag, |key, input, _| {
            match key.to_string().as_str() {
                "reply" => {
                    let ty = syntax::value(key, input, "reply = FooCreated")?;
                    read.reply = Some((key.clone(), ty));
                }
                "error" => {
                    let ty = syntax::value(key, input, "error = FooError")?;
                    read.error = Some((key.clone(), ty));
                }
                "query" => read.query = syntax::flag(key, input)?.then(|| key.clone()),
                _ => read.event = syntax::flag(key, input)?.then(|| key.clone()),
            }
            Ok(())
        });
        Ok(())
    };
    if let Err(e) = parser.parse2(args.clone()) {
        diag.syntax(e);
    }
    read
}

fn check(args: &Args, diag: &mut Diagnostics) -> Kind {
    match (&args.query, &args.event) {
        (None, None) => Kind::Command,
        (Some(_), None) => Kind::Query,
        (query, Some(event)) => {
            if query.is_some() {
                diag.error(
                    event.span(),
                    "a contract cannot be both a query and an event",
                )
                .help("a query asks and is answered, an event tells; keep one of them");
                return Kind::Event;
            }
            check_event_is_not_answered(args, diag);
            Kind::Event
        }
    }
}

// #[contract(event, reply = Uuid)]
fn check_event_is_not_answered(args: &Args, diag: &mut Diagnostics) {
    for (key, _) in args.reply.iter().chain(&args.error) {
        diag.error(key.span(), format_args!("an event has no `{key}`"))
            .help(format_args!(
                "it has any number of readers, and nobody waits for them: remove `{key}`, or make this a command by removing `event`"
            ));
    }
}

fn impls(ident: &Ident, name: &str, kind: Kind, args: &Args) -> TokenStream {
    let (mut proofs, mut reply, mut error) = (quote!(), quote!(()), quote!(__m::Never));
    if let Some((_, ty)) = &args.reply {
        reply = quote!(#ty);
        let span = syntax::at(ty.span());
        proofs.extend(quote_spanned!(span=> const _: () = __m::is_reply::<#ty>();));
    }
    if let Some((_, ty)) = &args.error {
        error = quote!(#ty);
        let span = syntax::at(ty.span());
        proofs.extend(quote_spanned!(span=> const _: () = __m::is_error::<#ty>();));
    }
    let variant = match kind {
        Kind::Command => format_ident!("Command"),
        Kind::Query => format_ident!("Query"),
        Kind::Event => format_ident!("Event"),
    };
    let marker = format_ident!("Is{variant}");
    let target = (kind != Kind::Event).then(|| {
        let sends = format_ident!("Sends{variant}");
        quote! {
            impl __m::StepTarget for #ident {
                const KIND: __m::TargetKind = __m::TargetKind::#variant;
                const NAME: &'static str = #name;
                type Reply = #reply;
                type Error = #error;
            }
            impl __m::Sends for #ident {
                type Kind = __m::#sends;
                fn outgoing(&self) -> __m::Result<__m::Outgoing> {
                    __m::send(self)
                }
            }
        }
    });
    let signal = (kind != Kind::Query).then(|| quote!(impl __m::Signal for #ident {}));
    quote! {
        #proofs
        impl __m::Model for #ident {}
        impl __m::Contract for #ident {
            const NAME: &'static str = #name;
            const KIND: __m::ContractKind = __m::ContractKind::#variant;
            type Reply = #reply;
            type Error = #error;
        }
        impl __m::#marker for #ident {}
        #signal
        #target
    }
}
