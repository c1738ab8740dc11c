//! What a saga must not be, one function per rule. What only rustc knows - whether a step sends a query, whether its
//! reply is `()` - is asked in `expand`.

use syn::{LitInt, Type};

use super::{Model, Shape, Step, layout};
use crate::{diag::Diagnostics, syntax::ImplBlock};

/// Whether this block can be a saga at all.
pub(super) fn check_block(block: &ImplBlock, diag: &mut Diagnostics) -> bool {
    let before = diag.len();
    // #[saga] impl Flow for Order { .. }
    if let Some(of_trait) = &block.of_trait {
        diag.error_on(
            of_trait,
            "`#[saga]` goes on an inherent `impl` block, not on the impl of a trait",
        )
        .help("move the steps to `impl YourSaga { .. }`");
    }
    // #[saga] impl<T> Order<T> { .. }
    if !block.generics.params.is_empty() {
        diag.error_on(&block.generics, "a saga has no generics")
            .help("its state is stored under one name and one type; write one saga per type");
    }
    diag.len() == before
}

// #[saga] impl Order {}
pub(super) fn no_steps(self_ty: &Type, diag: &mut Diagnostics) {
    diag.error_on(self_ty, "this saga has no steps").help(
        "add `#[step]` to a method that returns a contract or takes `cx: &Context`, or remove `#[saga]`",
    );
}

// #[step(retry = 1000)]
pub(super) fn retry(number: &LitInt, diag: &mut Diagnostics) -> Option<u32> {
    match number.base10_parse::<u32>() {
        Ok(times) if times <= 100 => Some(times),
        _ => {
            diag.error(number.span(), format_args!("invalid retry `{number}`"))
                .help("a step is tried again 0 to 100 times; the pauses between grow");
            None
        }
    }
}

/// What can be said of one step alone.
pub(super) fn check_step(step: &Step, diag: &mut Diagnostics) {
    check_local_has_no_answer(step, diag);
    check_wait_has_nothing_else(step, diag);
    check_lapse_has_a_time(step, diag);
    check_contradictions(step, diag);
    check_pivot_is_sure(step, diag);
    check_group_is_remote(step, diag);
}

// #[step(on_success = f)] fn a(&mut self, cx: &Context)
fn check_local_has_no_answer(step: &Step, diag: &mut Diagnostics) {
    if !step.shape.is_local() {
        return;
    }
    let keys = &step.keys;
    let callbacks = [&keys.on_success, &keys.on_error, &keys.on_timeout];
    for value in callbacks.into_iter().flatten() {
        diag.error(
            value.key.span(),
            format_args!("a local step has no `{}`", value.key),
        )
        .help("nobody answers it: do in the step itself what is to be done, and return a `Result` to refuse");
    }
    if let Some((_, at)) = keys.timeout {
        diag.error(at, "a local step has no `timeout`")
            .help("it runs in one unit of work, which has a limit of its own");
    }
    if let Some(at) = keys.ignore_reply {
        diag.error(at, "a local step has no reply to ignore")
            .help("remove `ignore_reply`");
    }
}

// #[step(signal, compensate = undo)]
fn check_wait_has_nothing_else(step: &Step, diag: &mut Diagnostics) {
    if !step.shape.is_wait() {
        return;
    }
    let keys = &step.keys;
    let methods = [&keys.on_success, &keys.on_error, &keys.compensate];
    let methods = methods.into_iter().flatten();
    let methods = methods.map(|v| (v.key.to_string(), v.key.span()));
    let others = [
        ("retry", keys.retry.map(|(_, at)| at)),
        ("backoff", keys.backoff.map(|(_, at)| at)),
        ("max_backoff", keys.max_backoff.map(|(_, at)| at)),
        ("no_compensation", keys.no_compensation),
        ("ignore_reply", keys.ignore_reply),
    ];
    let others = others.map(|(key, at)| at.map(|at| (key.to_owned(), at)));
    for (key, at) in methods.chain(others.into_iter().flatten()) {
        diag.error(at, format_args!("a step that waits has no `{key}`"))
            .help("its method reads the signal; it sends nothing, so that there is nothing to repeat or to undo");
    }
}

// #[step(on_timeout = late)]
fn check_lapse_has_a_time(step: &Step, diag: &mut Diagnostics) {
    if let (Some(value), None, false) = (
        &step.keys.on_timeout,
        step.keys.timeout,
        step.shape.is_local(),
    ) {
        diag.error(value.key.span(), "`on_timeout` without a `timeout`")
            .help("nothing is ever late: add `timeout = \"5s\"`, or remove `on_timeout`");
    }
}

// #[step(pivot, when = is_open)]
fn check_pivot_is_sure(step: &Step, diag: &mut Diagnostics) {
    let (Some(pivot), keys) = (step.keys.pivot, &step.keys) else {
        return;
    };
    if keys.when.is_some() || keys.choice.is_some() {
        diag.error(pivot, "a pivot cannot be conditional")
            .help("what may be skipped cannot be the point of no return: make a step the pivot that always runs");
    } else if keys.parallel.is_some() {
        diag.error(pivot, "a pivot cannot be in a group")
            .help("the others may fail when it is done: let it run before or after them");
    }
}

// #[step(parallel = booking)] async fn a(&mut self, cx: &Context)
fn check_group_is_remote(step: &Step, diag: &mut Diagnostics) {
    let Some(group) = &step.keys.parallel else {
        return;
    };
    if step.shape.is_local() {
        diag.error(group.span(), "a local step cannot be in a group")
            .help("it runs within the transition, at once with nothing: move it before or behind the group, without `parallel`");
    } else if step.keys.choice.is_some() {
        diag.error(group.span(), "a step of a choice cannot be in a group")
            .help("what is conditional by itself may have a `when` in a group; a choice stands before or behind it");
    }
}

// #[step(compensate = undo, no_compensation = "reason")]
fn check_contradictions(step: &Step, diag: &mut Diagnostics) {
    let keys = &step.keys;
    if let (Some(_), Some(at)) = (&keys.compensate, keys.no_compensation) {
        diag.error(
            at,
            "this step has a compensation, and a reason to have none",
        )
        .help("remove one of them");
    }
    if let (Some(_), Some(at)) = (&keys.on_success, keys.ignore_reply) {
        diag.error(
            at,
            "this step reads its reply, and has a reason to ignore it",
        )
        .help("remove one of them");
    }
}

/// What must hold between the steps.
pub(super) fn check(model: &Model, diag: &mut Diagnostics) {
    check_names(model, diag);
    check_pauses(model, diag);
    check_nests_another(model, diag);
    layout::check(model, diag);
    check_one_pivot(model, diag);
    check_compensation_can_run(model, diag);
    check_local_steps_can_be_undone(model, diag);
}

// #[step(name = "a")] fn b .. #[step] fn a ..
fn check_names(model: &Model, diag: &mut Diagnostics) {
    for (i, step) in model.steps.iter().enumerate() {
        let at = |step: &Step| match &step.keys.name {
            Some((_, span)) => *span,
            None => step.ident.span(),
        };
        let name = step.name();
        if let Some(first) = model.steps.iter().take(i).find(|s| s.name() == name) {
            diag.error(at(step), format_args!("two steps are stored as `{name}`"))
                .help("a running saga is found by the names of its steps: give each its own");
            diag.note(at(first), format_args!("the first step `{name}` is here"));
        }
    }
}

// #[step(backoff = "1m")], #[step(retry = 3, backoff = "2m", max_backoff = "1m")]
fn check_pauses(model: &Model, diag: &mut Diagnostics) {
    let pivot = pivot(model).unwrap_or(usize::MAX);
    for (i, step) in model.steps.iter().enumerate() {
        let keys = &step.keys;
        let pauses = [("backoff", keys.backoff), ("max_backoff", keys.max_backoff)];
        let mut pauses = pauses.into_iter();
        let first = pauses.find_map(|(key, pause)| pause.map(|(_, at)| (key, at)));
        // After the pivot a step is tried again as often as it takes.
        let repeated = i > pivot || keys.retry.is_some_and(|(times, _)| times > 0);
        if let Some((key, at)) = first
            && !repeated
        {
            diag.error(at, format_args!("`{key}` without `retry`"))
                .help("it is a pause before a repetition: add `retry = 3`, or remove the pause");
        } else if let (Some((first, _)), Some((longest, at))) = (keys.backoff, keys.max_backoff)
            && longest < first
        {
            diag.error(at, "`max_backoff` is shorter than `backoff`")
                .help("`backoff` is the first pause, which doubles up to `max_backoff`: swap them");
        }
    }
}

/// Whether a type is the saga's own, however it is spelled.
pub(super) fn is_itself(model: &Model, ty: &Type) -> bool {
    *ty == model.self_ty || *ty == syn::parse_quote!(Self)
}

// #[step] fn again(&self) -> Self
fn check_nests_another(model: &Model, diag: &mut Diagnostics) {
    for step in &model.steps {
        if let Shape::Remote(sent) = &step.shape
            && is_itself(model, sent)
        {
            let name = &model.name;
            diag.error_on(sent, format_args!("saga `{name}` starts itself, without end"))
                .help("return the contract to send; what is to run again is a step with `retry`, or `Verdict::Retry`");
        }
    }
}

// #[step(pivot)] .. #[step(pivot)]
fn check_one_pivot(model: &Model, diag: &mut Diagnostics) {
    let mut pivots = model.steps.iter().filter_map(|s| s.keys.pivot);
    if let Some(first) = pivots.next() {
        for second in pivots {
            diag.error(second, "a saga has one pivot")
                .help("after the first pivot there is only forward: remove this one");
            diag.note(first, "the first pivot is here");
        }
    }
}

/// The place of the pivot.
pub(super) fn pivot(model: &Model) -> Option<usize> {
    model.steps.iter().position(Step::is_pivot)
}

// #[step(pivot)] .. #[step(compensate = undo)]
fn check_compensation_can_run(model: &Model, diag: &mut Diagnostics) {
    let Some(pivot) = pivot(model) else {
        return;
    };
    for (i, step) in model.steps.iter().enumerate().skip(pivot) {
        let Some(value) = &step.keys.compensate else {
            continue;
        };
        let (what, help) = if i == pivot {
            (
                "the pivot is never undone",
                "once it is done there is only forward; remove `compensate`, or make a later step the pivot",
            )
        } else {
            (
                "a step after the pivot is never undone",
                "it is retried until it succeeds; remove `compensate`, or move the pivot behind it",
            )
        };
        diag.error(
            value.key.span(),
            format_args!("this compensation never runs: {what}"),
        )
        .help(help);
    }
}

/// Whether a step after this one, or beside it, can still end the saga in failure: up to the pivot, and the pivot
/// itself.
pub(super) fn must_be_undone(model: &Model, index: usize) -> bool {
    let last = pivot(model).unwrap_or(usize::MAX);
    let Some(me) = model.steps.get(index) else {
        return false;
    };
    let mut others = model.steps.iter().enumerate();
    let beside = |step: &Step| me.keys.parallel.is_some() && me.keys.parallel == step.keys.parallel;
    index < last
        && others.any(|(i, step)| {
            let follows = i > index && !layout::excludes(me, step);
            i != index && i <= last && step.can_fail() && (follows || beside(step))
        })
}

/// Whether the step says how it is undone, or why it is not.
pub(super) fn is_covered(step: &Step) -> bool {
    step.keys.compensate.is_some() || step.keys.no_compensation.is_some()
}

// #[step] async fn a(&mut self, cx: &Context) -> Result<()> .. #[step] fn b(&self) -> CreateFoo
fn check_local_steps_can_be_undone(model: &Model, diag: &mut Diagnostics) {
    for (i, step) in model.steps.iter().enumerate() {
        if step.shape.is_local() && !is_covered(step) && must_be_undone(model, i) {
            let name = crate::syntax::unraw(&step.ident);
            diag.error(
                step.ident.span(),
                format_args!("local step `{name}` has no compensation, and a later step can fail"),
            )
            .help("add `compensate = ..` or `no_compensation = \"reason\"`");
        }
    }
}
