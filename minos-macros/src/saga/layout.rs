//! What steps are to each other: in one branch, in one choice, in one group.

use std::ops::Range;

use syn::Ident;

use super::{Model, Step};
use crate::{
    diag::{Diagnostics, closest},
    syntax::unraw,
};

/// Steps that are reached together.
pub(super) enum Unit<'a> {
    Step(usize),
    Group(&'a Ident, Range<usize>),
    Choice(&'a Ident, Vec<Branch<'a>>),
}

/// Neighbours of one choice with one condition.
pub(super) struct Branch<'a> {
    pub(super) when: Option<&'a Ident>,
    pub(super) steps: Range<usize>,
}

fn condition(step: &Step) -> Option<&Ident> {
    step.keys.when.as_ref().map(|value| &value.method)
}

/// Whether only one of two steps runs: they are in different branches of one choice.
pub(super) fn excludes(a: &Step, b: &Step) -> bool {
    a.keys.choice.is_some() && a.keys.choice == b.keys.choice && condition(a) != condition(b)
}

/// The end of the steps from `start` on that have something in common with the first.
fn run(model: &Model, start: usize, same: impl Fn(&Step) -> bool) -> usize {
    let rest = model.steps.iter().skip(start);
    start + rest.take_while(|step| same(step)).count().max(1)
}

/// The steps in their order, neighbours put together.
pub(super) fn units(model: &Model) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut next = 0;
    while let Some(step) = model.steps.get(next) {
        let start = next;
        if let Some(group) = &step.keys.parallel {
            next = run(model, start, |s| s.keys.parallel.as_ref() == Some(group));
            units.push(Unit::Group(group, start..next));
        } else if let Some(choice) = &step.keys.choice {
            let in_choice = |s: &Step| s.keys.choice.as_ref() == Some(choice);
            let end = run(model, start, in_choice);
            let mut branches = Vec::new();
            while next < end
                && let Some(first) = model.steps.get(next)
            {
                let when = condition(first);
                let start = next;
                next = run(model, start, |s| in_choice(s) && condition(s) == when);
                let steps = start..next;
                branches.push(Branch { when, steps });
            }
            units.push(Unit::Choice(choice, branches));
        } else {
            next += 1;
            units.push(Unit::Step(start));
        }
    }
    units
}

pub(super) fn check(model: &Model, diag: &mut Diagnostics) {
    let units = units(model);
    let groups = units.iter().filter_map(|unit| match unit {
        Unit::Group(name, steps) => Some((*name, steps.len())),
        _ => None,
    });
    let choices = units.iter().filter_map(|unit| match unit {
        Unit::Choice(name, branches) => Some((*name, branches.len())),
        _ => None,
    });
    let (groups, choices): (Vec<_>, Vec<_>) = (groups.collect(), choices.collect());
    check_companions(&GROUP, &groups, diag);
    let before = diag.len();
    check_companions(&CHOICE, &choices, diag);
    if diag.len() > before {
        return;
    }
    for unit in &units {
        if let Unit::Choice(_, branches) = unit {
            check_branches(branches, model, diag);
        }
    }
}

/// What is said of a group, and of a choice.
struct Words {
    what: &'static str,
    parts: &'static str,
    one: &'static str,
    alone: &'static str,
    apart: &'static str,
}

const GROUP: Words = Words {
    what: "group",
    parts: "steps",
    one: "step",
    alone: "one step runs at once with nothing: add `parallel` to its neighbour, or remove it here",
    apart: "nothing stands between steps that run at once: move this one up to the others",
};

const CHOICE: Words = Words {
    what: "choice",
    parts: "branches",
    one: "branch",
    alone: "give its neighbour the same `choice` and another `when`; a step that runs or not has a `when` alone",
    apart: "nothing stands between the branches of a choice: move this one up to the others",
};

/// A group has several steps, a choice several branches, and they stand together.
fn check_companions(words: &Words, units: &[(&Ident, usize)], diag: &mut Diagnostics) {
    let Words { what, parts, .. } = words;
    let all = |name: &Ident| -> usize {
        let same = units.iter().filter(|(other, _)| *other == name);
        same.map(|(_, size)| size).sum()
    };
    let mut misspelled = false;
    // #[step(parallel = bookng)]
    for (name, _) in units.iter().filter(|(name, _)| all(name) == 1) {
        let known: Vec<String> = units
            .iter()
            .filter(|(other, _)| other != name)
            .map(|(other, _)| unraw(other))
            .collect();
        let spelled = unraw(name);
        let near = closest(&spelled, known.iter().map(String::as_str));
        misspelled |= near.is_some();
        let help = near.map_or_else(
            || words.alone.to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let text = format!("{what} `{spelled}` has one {}", words.one);
        diag.error(name.span(), text).help(help);
    }
    if misspelled {
        return;
    }
    // #[step(parallel = a)] .. #[step] .. #[step(parallel = a)]
    for (i, (name, _)) in units.iter().enumerate() {
        if let Some((first, _)) = units.iter().take(i).find(|(other, _)| other == name) {
            diag.error(
                name.span(),
                format_args!("the {parts} of {what} `{name}` do not stand together"),
            )
            .help(words.apart);
            diag.note(first.span(), format_args!("{what} `{name}` begins here"));
        }
    }
}

/// Each branch can be reached.
fn check_branches(branches: &[Branch<'_>], model: &Model, diag: &mut Diagnostics) {
    for (i, branch) in branches.iter().enumerate() {
        let mut before = branches.iter().take(i);
        let Some(step) = model.steps.get(branch.steps.start) else {
            continue;
        };
        // #[step(choice = a)] .. #[step(choice = a, when = b)]
        if let Some(otherwise) = before.clone().find(|b| b.when.is_none()) {
            let at = step
                .keys
                .choice
                .as_ref()
                .map_or(step.ident.span(), Ident::span);
            diag.error(at, "this branch is never reached")
                .help("the branch without `when` runs whenever none before it does: put it last");
            if let Some(first) = model.steps.get(otherwise.steps.start) {
                diag.note(first.ident.span(), "the branch without `when` is here");
            }
        } else if let Some(when) = branch.when
            && let Some(first) = before.find_map(|b| b.when.filter(|w| *w == when))
        {
            // #[step(choice = a, when = b)] .. #[step(choice = a, when = c)] .. #[step(choice = a, when = b)]
            diag.error(
                when.span(),
                format_args!("this branch is never reached: an earlier one has the condition `{when}` too"),
            )
            .help("the first branch whose condition holds runs; move this step up to that branch, or give it another `when`");
            diag.note(
                first.span(),
                format_args!("the first branch with `{when}` is here"),
            );
        }
    }
}
