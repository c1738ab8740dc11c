//! The steps of a saga against a run that was started with others.

use std::ops::Range;

use super::{Machine, record::plain};
use crate::saga::{
    TargetKind,
    flow::{StepInfo, What},
    run::{Execution, Run, StepStatus, Trouble, Waiting},
};

/// What a run depends on, to be told when it has changed.
pub(super) fn definition(steps: &[StepInfo]) -> String {
    let what = |what: &What| match what {
        What::Remote(target) => {
            let kind = match target.kind {
                TargetKind::Command => "command",
                TargetKind::Query => "query",
                TargetKind::Saga => "saga",
            };
            format!("{kind}:{}", target.name)
        }
        What::Local => "local".to_owned(),
        What::Wait(signal) => format!("wait:{signal}"),
    };
    let step = |s: &StepInfo| {
        let mut text = format!("{}={}", s.name, what(&s.what));
        let mut add = |sign: &str, part: Option<&str>| {
            if let Some(part) = part {
                text.push_str(sign);
                text.push_str(part);
            }
        };
        add("/", s.compensation.as_ref().map(what).as_deref());
        add("@", s.parallel);
        add("#", s.choice);
        add("?", s.when);
        add("!", s.pivot.then_some("pivot"));
        text
    };
    steps.iter().map(step).collect::<Vec<_>>().join(", ")
}

/// Whether a run that was started with one definition can tell it from another: those of earlier versions named
/// the steps only.
pub(super) fn comparable(definition: &str) -> bool {
    definition.is_empty() || definition.contains('=')
}

/// The steps that run at once with this one.
pub(super) fn stage(steps: &[StepInfo], index: usize) -> Range<usize> {
    let Some(group) = steps.get(index).and_then(|s| s.parallel) else {
        return index..index + 1;
    };
    let same = |s: &&StepInfo| s.parallel == Some(group);
    let before = steps[..index].iter().rev().take_while(same).count();
    let after = steps[index..].iter().take_while(same).count();
    index - before..index + after
}

/// Whether there is only forward for a step: a pivot before it was passed, or one beside it is done. A pivot that was
/// skipped counts as soon as something after it was done that cannot be undone.
pub(super) fn past_pivot(steps: &[StepInfo], run: &Run, index: usize) -> bool {
    let stage = stage(steps, index);
    let mut skipped = false;
    for (at, step) in steps.iter().enumerate().take(stage.end) {
        let status = run.status(step.name);
        match (step.pivot, status) {
            (true, None | Some(StepStatus::Skipped)) => skipped |= at < stage.start,
            (true, Some(status)) if at < stage.start || status == StepStatus::Done => return true,
            (false, Some(StepStatus::Done)) if skipped && lasting(step) => return true,
            _ => {}
        }
    }
    false
}

/// What it did stays.
pub(super) fn lasting(step: &StepInfo) -> bool {
    let changes = match step.what {
        What::Remote(target) => target.kind.changes(),
        What::Local => true,
        What::Wait(_) => false,
    };
    changes && step.compensation.is_none()
}

/// The place of an execution's step, if it is still what it was.
pub(super) fn place(steps: &[StepInfo], execution: &Execution) -> Option<usize> {
    let index = steps.iter().position(|s| s.name == execution.step)?;
    let step = &steps[index];
    let what = match execution.undo {
        true => step.compensation?,
        false => step.what,
    };
    let target = |name: &str| execution.target.as_deref().is_none_or(|t| t == name);
    let fits = match (what, execution.waiting) {
        (What::Remote(to), Waiting::Reply | Waiting::Void) => target(to.name),
        (What::Local, Waiting::Local) => true,
        (What::Wait(signal), Waiting::Signal) => target(signal),
        _ => false,
    };
    fits.then_some(index)
}

impl Machine<'_> {
    /// The place of an execution's step; if the step is gone or another one, the saga is stuck.
    pub(super) fn place(&mut self, execution: &Execution) -> Option<usize> {
        let index = place(&self.steps, execution);
        if index.is_none() {
            self.misfit(&execution.step);
        }
        index
    }

    /// The definition changed under the run.
    pub(super) fn misfit(&mut self, step: &str) {
        let why = self.unfit(step);
        self.stuck(why);
    }

    /// That the definition changed under the run, in words.
    pub(super) fn unfit(&mut self, step: &str) -> Trouble {
        self.misfit = true;
        let text = match self.index(step) {
            None => "no longer has it",
            Some(_) => "has another one of this name",
        };
        let text = format!(
            "the saga was started as `{}`; its definition {text}: bring the step back and retry, or skip it",
            self.run.definition
        );
        plain("failed", step, &text)
    }

    pub(super) fn index(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|s| s.name == step)
    }

    /// What a step does, or what undoes it.
    pub(super) fn what(&self, index: usize, undo: bool) -> What {
        let step = &self.steps[index];
        match undo {
            true => step.compensation.unwrap_or(What::Local),
            false => step.what,
        }
    }

    /// Whether a step, or what undoes it, is another saga.
    pub(super) fn nested(&self, index: usize, undo: bool) -> bool {
        matches!(self.what(index, undo), What::Remote(to) if to.kind == TargetKind::Saga)
    }

    pub(super) fn past_pivot(&self, index: usize) -> bool {
        past_pivot(&self.steps, &self.run, index)
    }

    /// The last step that was reached.
    pub(super) fn last(&self) -> Option<usize> {
        let reached = |name: &str| self.run.status(name).is_some();
        self.steps.iter().rposition(|s| reached(s.name))
    }
}
