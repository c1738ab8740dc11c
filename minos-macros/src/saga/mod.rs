//! `#[saga]`: the steps of a saga on the methods of an impl block.

mod check;
mod diagram;
mod expand;
mod keys;
mod layout;
mod parse;
mod shape;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Ident, Type, parse_quote};

use crate::{
    diag::Diagnostics,
    syntax::{self, ImplBlock, Member},
};

/// The arguments of `#[saga(..)]`.
#[derive(Default)]
struct Args {
    /// Milliseconds.
    deadline: Option<u64>,
    name: Option<(String, Span)>,
}

/// A whole impl block.
struct Model {
    self_ty: Type,
    name: String,
    name_span: Span,
    deadline: Option<u64>,
    steps: Vec<Step>,
}

/// One step.
struct Step {
    ident: Ident,
    cfgs: Vec<Attribute>,
    keys: StepKeys,
    shape: Shape,
    on_success: Option<Callback>,
    on_error: Option<Callback>,
    on_timeout: Option<Callback>,
    when: Option<Condition>,
    compensate: Option<(Ident, Shape)>,
    /// Nothing is wrong with it by itself, so that questions about it make sense.
    clean: bool,
}

/// What stands in `#[step(..)]`.
#[derive(Default)]
struct StepKeys {
    name: Option<(String, Span)>,
    on_success: Option<Value>,
    on_error: Option<Value>,
    compensate: Option<Value>,
    timeout: Option<(u64, Span)>,
    on_timeout: Option<Value>,
    retry: Option<(u32, Span)>,
    backoff: Option<(u64, Span)>,
    max_backoff: Option<(u64, Span)>,
    when: Option<Value>,
    choice: Option<Ident>,
    parallel: Option<Ident>,
    signal: Option<Span>,
    pivot: Option<Span>,
    no_compensation: Option<Span>,
    ignore_reply: Option<Span>,
}

/// A key that names a method.
struct Value {
    key: Ident,
    method: Ident,
}

/// What a step or its compensation does, by the shape of its method.
enum Shape {
    /// It returns what to send.
    Remote(Box<Type>),
    /// It takes the context.
    Local(Box<Local>),
    /// It reads a signal.
    Wait(Box<Wait>),
}

struct Wait {
    signal: Type,
    output: Option<Type>,
}

/// A method that says whether a step runs.
struct Condition {
    ident: Ident,
    output: Option<Type>,
}

struct Local {
    context: Type,
    is_async: bool,
    output: Option<Type>,
}

/// A method that reads an answer.
struct Callback {
    ident: Ident,
    /// What it reads, if it reads anything.
    reads: Option<Type>,
    output: Option<Type>,
}

impl Step {
    fn name(&self) -> String {
        match &self.keys.name {
            Some((name, _)) => name.clone(),
            None => syntax::unraw(&self.ident),
        }
    }

    /// The methods that it runs: its own, and those that its keys name.
    fn methods(&self) -> impl Iterator<Item = &Ident> {
        let callbacks = [&self.on_success, &self.on_error, &self.on_timeout];
        let callbacks = callbacks.into_iter().flatten().map(|c| &c.ident);
        let when = self.when.iter().map(|when| &when.ident);
        let undo = self.compensate.iter().map(|(ident, _)| ident);
        [&self.ident]
            .into_iter()
            .chain(callbacks)
            .chain(when)
            .chain(undo)
    }

    fn is_pivot(&self) -> bool {
        self.keys.pivot.is_some()
    }

    /// Whether it may end in anything but success.
    fn can_fail(&self) -> bool {
        match &self.shape {
            // The answer may be no, or never come.
            Shape::Remote(_) | Shape::Wait(_) => true,
            Shape::Local(local) => local.output.is_some(),
        }
    }
}

pub(crate) fn saga(args: &TokenStream, item: &TokenStream, diag: &mut Diagnostics) -> TokenStream {
    let args = parse::arguments(args, diag);
    let Some(mut block) = ImplBlock::parse(item, diag) else {
        wrong_item(item, diag);
        return item.clone();
    };
    let fits = check::check_block(&block, diag);
    let before = diag.len();
    let (steps, any) = parse::steps(&mut block, diag);
    allow_our_form(&mut block, &steps);
    if !any && diag.len() == before {
        check::no_steps(&block.self_ty, diag);
    }
    if !fits {
        return quote!(#block);
    }
    let model = parse::model(&block, args, steps);
    // A step that cannot be read is missing from the list: what the rest means together is not known.
    if diag.len() == before {
        check::check(&model, diag);
    }
    let expansion = expand::expand(&model, diag.len() == before);
    quote!(#block #expansion)
}

/// The methods that the macro calls have the form it asks for.
fn allow_our_form(block: &mut ImplBlock, steps: &[Step]) {
    let called: Vec<&Ident> = steps.iter().flat_map(Step::methods).collect();
    for member in &mut block.members {
        if let Member::Method(method) = member
            && called.contains(&&method.sig.ident)
        {
            method.allow_our_form();
            // A step that may fail one day returns a `Result` today.
            method
                .attrs
                .push(parse_quote!(#[allow(clippy::unnecessary_wraps)]));
        }
    }
}

fn wrong_item(item: &TokenStream, diag: &mut Diagnostics) {
    if let Some((token, what)) = syntax::item_kind(item)
        && what != "an `impl` block"
    {
        diag.error(
            token.span(),
            format_args!("`#[saga]` goes on an `impl` block, found {what}"),
        )
        .help("keep the struct as the saga's state under `#[model]`, and put `#[saga]` on its `impl` block");
    }
}
