//! From an impl block to handlers.

use proc_macro2::Span;
use syn::{Attribute, FnArg, Type, spanned::Spanned as _};

use super::{Construct, Enroute, Handler, Input, Model, Service, attribute, check, effects};
use crate::{
    diag::Diagnostics,
    syntax::{ImplBlock, Member, Method, Receives, receives},
};

pub(super) fn parse(service: Service, block: &mut ImplBlock, diag: &mut Diagnostics) -> Model {
    let mut model = Model {
        service,
        self_ty: block.self_ty.clone(),
        handlers: Vec::new(),
        construct: None,
    };
    let before = diag.len();
    let mut any = false;
    for member in &mut block.members {
        let Member::Method(method) = member else {
            continue;
        };
        let taken = Taken::from(method, diag);
        any |= taken.any_enroute;
        if let Some(at) = taken.construct {
            read_construct(&mut model, method, at, taken.any_enroute, diag);
        }
        if taken.any_enroute {
            let handler = read_handler(service, method, taken.enroutes, diag);
            model.handlers.extend(handler);
        }
        if taken.any_enroute || taken.construct.is_some() {
            method.allow_our_form();
        }
    }
    if !any && diag.len() == before {
        check::no_handlers(service, &model.self_ty, diag);
    }
    model
}

/// The attributes of a method that are ours, taken off it.
struct Taken {
    enroutes: Vec<Enroute>,
    /// Whether there was one, even one that cannot be read.
    any_enroute: bool,
    construct: Option<Span>,
}

impl Taken {
    fn from(method: &mut Method, diag: &mut Diagnostics) -> Self {
        let mut taken = Self {
            enroutes: Vec::new(),
            any_enroute: false,
            construct: None,
        };
        let attrs = std::mem::take(&mut method.attrs);
        for attr in attrs {
            if let Some(tail) = attribute::tail(attr.path()) {
                taken.any_enroute = true;
                taken.enroutes.extend(attribute::read(&attr, &tail, diag));
            } else if is_construct(&attr) {
                taken.construct = Some(attr.path().span());
            } else {
                method.attrs.push(attr);
            }
        }
        taken
    }
}

fn is_construct(attr: &Attribute) -> bool {
    attr.path()
        .segments
        .last()
        .is_some_and(|s| s.ident == "construct")
}

fn read_handler(
    service: Service,
    method: &Method,
    enroutes: Vec<Enroute>,
    diag: &mut Diagnostics,
) -> Option<Handler> {
    let before = diag.len();
    check::check_fits_service(service, &enroutes, method, diag);
    check::check_one_kind(&enroutes, diag);
    check::check_function(method, diag);
    let (receiver, inputs) = read_inputs(method, diag);
    if service == Service::Query {
        effects::check_changes_nothing(method, diag);
    }
    (diag.len() == before && !enroutes.is_empty()).then(|| Handler {
        ident: method.sig.ident.clone(),
        cfgs: method.cfgs(),
        receiver,
        inputs,
        output: method.output().cloned(),
        enroutes,
    })
}

fn read_inputs(method: &Method, diag: &mut Diagnostics) -> (bool, Vec<Input>) {
    let (mut receiver, mut inputs) = (false, Vec::new());
    for arg in &method.sig.inputs {
        match arg {
            FnArg::Receiver(this) => {
                receiver = true;
                if receives(this) != Receives::Shared {
                    check::wrong_receiver(this, diag);
                }
            }
            FnArg::Typed(arg) => match &*arg.ty {
                Type::Reference(reference) => {
                    if inputs.iter().any(|i| matches!(i, Input::Context(_))) {
                        check::second_context(&arg.ty, diag);
                    } else if reference.mutability.is_some() {
                        check::exclusive_context(&arg.ty, diag);
                    }
                    inputs.push(Input::Context((*arg.ty).clone()));
                }
                ty => {
                    if inputs.iter().any(|i| matches!(i, Input::Request(_))) {
                        check::second_request(ty, diag);
                    }
                    inputs.push(Input::Request(ty.clone()));
                }
            },
        }
    }
    (receiver, inputs)
}

fn read_construct(
    model: &mut Model,
    method: &Method,
    at: Span,
    is_handler: bool,
    diag: &mut Diagnostics,
) {
    let before = diag.len();
    if is_handler {
        diag.error(at, "a method cannot be both a handler and the constructor")
            .help("move `#[construct]` to a function of its own");
    } else if let Some(first) = &model.construct {
        diag.error(at, "a service has one constructor")
            .help("remove this `#[construct]`");
        diag.note(first.ident.span(), "the first constructor is here");
    } else {
        check::check_construct(method, diag);
    }
    if diag.len() == before {
        model.construct = Some(Construct {
            ident: method.sig.ident.clone(),
            resources: !method.sig.inputs.is_empty(),
            output: method.output().cloned(),
        });
    }
}
