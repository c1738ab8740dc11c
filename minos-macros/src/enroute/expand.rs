//! From handlers to data: a list of routes, claims, and questions for rustc.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Type, parse_quote, spanned::Spanned as _};

use super::{Construct, Door, Enroute, Handler, Input, Kind, Model, Service, claim};
use crate::syntax::{asked, at, line, type_name};

pub(super) fn expand(model: &Model) -> TokenStream {
    let me = &model.self_ty;
    let mut routes = TokenStream::new();
    let mut claims = TokenStream::new();
    let mut questions = TokenStream::new();
    let mut uses = TokenStream::new();
    for handler in &model.handlers {
        let cfgs = &handler.cfgs;
        for enroute in &handler.enroutes {
            let (route, path) = (route(handler, enroute), &enroute.path);
            routes.extend(quote!(#(#cfgs)* #route,));
            if let Some(claim) =
                claim::name(&enroute.door, enroute.kind == Kind::Event, enroute.span)
            {
                let claim = quote_spanned!(at(enroute.span)=> const #claim: () = (););
                claims.extend(quote!(#(#cfgs)* #claim));
            }
            uses.extend(quote_spanned!(at(path.span())=> use #path as _;));
            if let Some(question) = question(handler, enroute) {
                questions.extend(quote!(#(#cfgs)* #question));
            }
        }
    }
    let role = match model.service {
        Service::Command => quote!(Command),
        Service::Query => quote!(Query),
    };
    let (name, construct) = (type_name(me), construct(model));
    quote! {
        const _: () = {
            use ::minos::__private as __m;
            type __Crate = crate::__put_minos_service_in_lib_rs;
            // The editor then knows the paths of the attributes, and rustc that they are used.
            #[allow(unused_imports)]
            const _: () = { #uses };
            #questions
            #[allow(non_upper_case_globals, dead_code)]
            impl __Crate { #claims }
            impl __m::Serves for #me {
                type Of = __Crate;
                const ROLE: __m::Role = __m::Role::#role;
                const NAME: &'static str = #name;
                const ROUTES: &'static [__m::Route<Self>] = &[#routes];
                fn construct(__resources: &__m::Resources) -> __m::BoxFuture<'_, __m::Result<Self>> {
                    #construct
                }
            }
            __m::submit! { __m::Entry::of::<#me>() }
        };
    }
}

fn construct(model: &Model) -> TokenStream {
    match &model.construct {
        None => quote_spanned!(at(model.self_ty.span())=> __m::plain::<Self>()),
        Some(Construct {
            ident,
            resources,
            output,
        }) => {
            let argument = resources.then(|| quote!(__resources));
            let output = output
                .as_ref()
                .map_or_else(|| unit(ident), |ty| quote!(#ty));
            quote_spanned!(at(ident.span())=> __m::construct::<Self, #output, _>(Self::#ident(#argument)))
        }
    }
}

/// The type of a function that does not name one, at its name.
fn unit(ident: &Ident) -> TokenStream {
    quote_spanned!(ident.span()=> ())
}

fn output(handler: &Handler) -> TokenStream {
    handler
        .output
        .as_ref()
        .map_or_else(|| unit(&handler.ident), |ty| quote!(#ty))
}

fn route(handler: &Handler, enroute: &Enroute) -> TokenStream {
    let (ident, door) = (&handler.ident, door(enroute));
    let text = crate::syntax::unraw(ident);
    let line = line(enroute.path.span());
    let receiver = handler.receiver.then(|| quote!(__s,));
    let arguments = handler.inputs.iter().map(|input| match input {
        Input::Context(ty) => quote_spanned!(at(ty.span())=> __cx),
        Input::Request(ty) => quote_spanned!(at(ty.span())=> __r),
    });
    let request: Type = handler
        .request()
        .cloned()
        .unwrap_or_else(|| parse_quote!(()));
    let output = output(handler);
    let call = quote_spanned! {at(ident.span())=>
        |__s, __cx, __raw| __m::handle::<#request, #output, _>(
            __raw,
            move |__r| Self::#ident(#receiver #(#arguments),*),
        )
    };
    quote!(__m::Route::new(#door, __m::At::new(#text, ::core::file!(), #line), #call))
}

fn door(enroute: &Enroute) -> TokenStream {
    match (&enroute.door, enroute.kind) {
        (Door::Http { verb, path }, _) => quote!(__m::http(#verb, #path)),
        (Door::Aggregate(event), _) => {
            let topic = &event.aggregate;
            let name = format!("{topic}{}", event.verb.as_str());
            match &event.field {
                None => quote!(__m::event(#topic, #name)),
                Some(field) => quote!(__m::event_of_field(#topic, #name, #field)),
            }
        }
        (Door::Topic { name, .. }, Kind::Command) => quote!(__m::command(#name)),
        (Door::Topic { name, .. }, Kind::Query) => quote!(__m::query(#name)),
        (Door::Topic { name, .. }, Kind::Event) => quote!(__m::event(#name, #name)),
    }
}

/// What only rustc knows: whether handler and contract, or handler and event, fit.
fn question(handler: &Handler, enroute: &Enroute) -> Option<TokenStream> {
    match &enroute.door {
        Door::Http { .. } => None,
        Door::Topic { contract, name } => {
            let contract = contract.as_ref()?;
            let terms = format!("{}_terms", enroute.kind.word());
            let mut proof = asked(&terms, contract, &quote!(#name));
            if let Some(request) = handler.request() {
                proof.extend(quote_spanned!(at(request.span())=> .takes::<#request>()));
            }
            if enroute.kind != Kind::Event {
                let output = output(handler);
                let span = handler
                    .output
                    .as_ref()
                    .map_or(handler.ident.span(), Type::span);
                proof.extend(quote_spanned!(at(span)=> .answers::<#output>()));
            }
            Some(quote!(const _: () = #proof.hold();))
        }
        Door::Aggregate(event) => {
            let request = handler.request()?;
            let verb = format_ident!("On{}", event.verb.as_str());
            let name = &event.aggregate;
            let proof =
                quote_spanned!(at(request.span())=> __m::hears::<#request, __m::#verb>(#name));
            let field = event.field.as_ref().map(|field| {
                quote_spanned!(at(enroute.span)=> const _: () = __m::hears_field::<#request>(#field);)
            });
            Some(quote!(const _: () = #proof; #field))
        }
    }
}
