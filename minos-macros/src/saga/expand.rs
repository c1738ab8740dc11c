//! From steps to data: a list of typed steps, and questions for rustc.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Type, spanned::Spanned as _};

use super::{Callback, Local, Model, Shape, Step, check, diagram::diagram};
use crate::enroute::claim::topic;
use crate::syntax::{asked, at, line, type_name, unraw};

/// `whole`: every step could be read, so that questions about a step among the others make sense.
pub(super) fn expand(model: &Model, whole: bool) -> TokenStream {
    let (me, name) = (&model.self_ty, &model.name);
    let steps = model.steps.iter().map(step);
    let questions = model
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| questions(step, whole && check::must_be_undone(model, i)));
    let deadline = match model.deadline {
        None => quote!(::core::option::Option::None),
        Some(millis) => quote!(::core::option::Option::Some(
            ::core::time::Duration::from_millis(#millis)
        )),
    };
    let type_name = type_name(me);
    let depths = model.steps.iter().filter_map(|step| depth(model, step));
    // A cycle of sagas is a cycle of these constants, whose name is what rustc then says.
    let depth = Ident::new("A_SAGA_IN_A_SAGA_MUST_END", at(me.span()));
    let diagram = diagram(model);
    let page = format!("The steps of this saga:\n\n```mermaid\n{diagram}```\n");
    let (line, claim) = (line(me.span()), claim(model));
    quote! {
        const _: () = {
            use ::minos::__private as __m;
            type __Crate = crate::__put_minos_service_in_lib_rs;
            #claim
            #(#questions)*
            impl __m::StepTarget for #me {
                const KIND: __m::TargetKind = __m::TargetKind::Saga;
                const NAME: &'static str = #name;
                type Reply = Self;
                type Error = __m::Never;
            }
            impl __m::Sends for #me {
                type Kind = __m::SendsSaga;
                fn outgoing(&self) -> __m::Result<__m::Outgoing> {
                    __m::nested(self)
                }
                const #depth: usize = __m::deeper([#(#depths,)*]);
            }
            const _: usize = <#me as __m::Sends>::#depth;
            #[doc = #page]
            impl __m::Saga for #me {
                const STEPS: &'static [__m::Step<Self>] = &[#(#steps,)*];
                const DEADLINE: ::core::option::Option<::core::time::Duration> = #deadline;
                const DIAGRAM: &'static str = #diagram;
                const AT: __m::At = __m::At::new(#type_name, ::core::file!(), #line);
            }
            __m::submit! { __m::SagaEntry::of::<__Crate, #me>() }
        };
    }
}

/// Two sagas of one crate that are stored under one name are "duplicate definitions".
fn claim(model: &Model) -> TokenStream {
    let name = format!("saga_{}", topic(&model.name));
    let (claim, span) = (Ident::new(&name, model.name_span), at(model.name_span));
    quote_spanned! {span=>
        #[allow(non_upper_case_globals, dead_code)]
        impl __Crate { const #claim: () = (); }
    }
}

/// How deep the sagas are that a step starts.
fn depth(model: &Model, step: &Step) -> Option<TokenStream> {
    let Shape::Remote(output) = &step.shape else {
        return None;
    };
    // That is an error already.
    if check::is_itself(model, output) {
        return None;
    }
    let (cfgs, sent) = (&step.cfgs, sent(output));
    Some(quote!(#(#cfgs)* #sent.depth))
}

fn step(step: &Step) -> TokenStream {
    let (cfgs, name) = (&step.cfgs, step.name());
    let (method, line) = (unraw(&step.ident), line(step.ident.span()));
    let run = action(&step.ident, &step.shape);
    let mut calls = TokenStream::new();
    if let Shape::Remote(output) = &step.shape {
        if let Some(callback) = &step.on_success {
            calls.extend(read(output, "on_success", "reply", callback));
        }
        if let Some(callback) = &step.on_error {
            calls.extend(read(output, "on_error", "error", callback));
        }
    }
    if let Some((ident, shape)) = &step.compensate {
        let action = action(ident, shape);
        calls.extend(quote!(.compensate(#action)));
    }
    if let Some((millis, _)) = step.keys.timeout {
        calls.extend(quote!(.timeout(#millis)));
    }
    if let Some(callback) = &step.on_timeout {
        let (ident, span) = (&callback.ident, at(callback.ident.span()));
        let returns = output_of(ident, callback.output.as_ref());
        calls.extend(
            quote_spanned!(span=> .on_timeout(|__s| __m::verdict::<#returns>(Self::#ident(__s)))),
        );
    }
    if let Some((times, _)) = step.keys.retry {
        calls.extend(quote!(.retry(#times)));
    }
    if let Some((millis, _)) = step.keys.backoff {
        calls.extend(quote!(.backoff(#millis)));
    }
    if let Some((millis, _)) = step.keys.max_backoff {
        calls.extend(quote!(.max_backoff(#millis)));
    }
    if let Some(when) = &step.when {
        let (ident, span, name) = (&when.ident, at(when.ident.span()), unraw(&when.ident));
        let returns = output_of(ident, when.output.as_ref());
        calls.extend(
            quote_spanned!(span=> .when(#name, |__s| __m::holds::<#returns>(Self::#ident(__s)))),
        );
    }
    if let Some(choice) = step.keys.choice.as_ref().map(unraw) {
        calls.extend(quote!(.choice(#choice)));
    }
    if let Some(group) = step.keys.parallel.as_ref().map(unraw) {
        calls.extend(quote!(.parallel(#group)));
    }
    if step.is_pivot() {
        calls.extend(quote!(.pivot()));
    }
    quote! {
        #(#cfgs)*
        __m::Step::new(#name, __m::At::new(#method, ::core::file!(), #line), #run)#calls
    }
}

/// Asks what a remote step sends. Asked with the same words at the same place again, rustc answers once.
fn sent(output: &Type) -> TokenStream {
    asked("sent", output, &TokenStream::new())
}

/// The type of a method that does not name one, at its name.
fn output_of(ident: &Ident, output: Option<&Type>) -> TokenStream {
    output.map_or_else(
        || quote_spanned!(ident.span()=> ()),
        ToTokens::to_token_stream,
    )
}

fn action(ident: &Ident, shape: &Shape) -> TokenStream {
    let span = at(ident.span());
    match shape {
        Shape::Remote(output) => {
            let sent = sent(output);
            quote_spanned!(span=> __m::Action::Remote(#sent.target, |__s| (#sent.send)(&Self::#ident(__s))))
        }
        Shape::Wait(wait) => {
            let signal = asked("signal", &wait.signal, &TokenStream::new());
            let returns = output_of(ident, wait.output.as_ref());
            quote_spanned!(span=> __m::Action::Wait(
                #signal.name,
                |__s, __p| __m::verdict::<#returns>(Self::#ident(__s, (#signal.read)(__p)?))
            ))
        }
        Shape::Local(local) => {
            let Local {
                context,
                is_async,
                output,
            } = &**local;
            let output = output_of(ident, output.as_ref());
            let cx = quote_spanned!(at(context.span())=> __cx);
            let call = quote_spanned!(span=> Self::#ident(__s, #cx));
            let future = if *is_async {
                call
            } else {
                quote_spanned!(span=> async move { #call })
            };
            quote_spanned!(span=> __m::Action::Local(|__s, __cx| __m::local::<#output, _>(#future)))
        }
    }
}

fn read(output: &Type, key: &str, what: &str, callback: &Callback) -> TokenStream {
    let (key, what) = (format_ident!("{key}"), format_ident!("{what}"));
    let (ident, sent) = (&callback.ident, sent(output));
    let returns = output_of(ident, callback.output.as_ref());
    let argument = callback.reads.as_ref().map(|ty| {
        let reader = quote_spanned!(at(ty.span())=> #sent.#what::<#ty>());
        quote!((#reader)(__p)?)
    });
    let span = at(ident.span());
    quote_spanned!(span=> .#key(|__s, __p| __m::verdict::<#returns>(Self::#ident(__s, #argument))))
}

/// What only rustc knows of a remote step.
fn questions(step: &Step, must_be_undone: bool) -> TokenStream {
    let Shape::Remote(output) = &step.shape else {
        return TokenStream::new();
    };
    if !step.clean {
        return TokenStream::new();
    }
    let (cfgs, sent, span) = (&step.cfgs, sent(output), at(output.span()));
    let unread = step.keys.on_success.is_none() && step.keys.ignore_reply.is_none();
    let unread = unread.then(|| quote_spanned!(span=> .unread()));
    let undo = must_be_undone && !check::is_covered(step);
    let undo = undo.then(|| quote_spanned!(span=> .needs_no_undo()));
    let refuses = step.keys.on_error.as_ref().map(|value| {
        let span = at(value.key.span());
        quote_spanned!(span=> .refuses())
    });
    if unread.is_none() && undo.is_none() && refuses.is_none() {
        return TokenStream::new();
    }
    quote_spanned!(span=> #(#cfgs)* const _: () = #sent #unread #undo #refuses.hold();)
}
