//! The course of a saga: which steps are next, and when it turns back.

use super::{
    Machine,
    definition::{lasting, stage},
    record::plain,
};
use crate::{
    payload::Payload,
    saga::{
        flow::{StepInfo, What},
        run::{Halt, Run, Status, StepRun, StepStatus, Trouble},
    },
    store::SagaRow,
};

impl Machine<'_> {
    pub(super) fn status(&self) -> Option<Status> {
        Status::of(&self.row)
    }

    pub(super) fn is(&self, status: Status) -> bool {
        self.status() == Some(status)
    }

    /// Whether it turns back as soon as nothing is under way any more.
    pub(super) fn failing(&self) -> bool {
        self.is(Status::Running) && self.run.error.is_some()
    }

    /// Goes on from where the run stands, as far as nothing has to be waited for. A group is joined: as long as one of
    /// it is under way, nothing begins and nothing is undone.
    pub(super) fn advance(&mut self) {
        loop {
            match self.status() {
                Some(Status::Running) if self.failing() => {
                    if let Some(step) = self.gone() {
                        let why = self.unfit(&step);
                        return self.halt(why);
                    }
                    self.call_off_all();
                    if !self.is(Status::Running) || !self.run.executions.is_empty() {
                        return;
                    }
                    self.turn_back();
                }
                Some(Status::Running) => {
                    if !self.run.executions.is_empty() {
                        return;
                    }
                    if !self.enter_next() {
                        return self.end(Status::Completed);
                    }
                }
                Some(Status::Compensating) => {
                    if !self.run.executions.is_empty() {
                        return;
                    }
                    if !self.undo_next() && self.is(Status::Compensating) {
                        return self.end(Status::Compensated);
                    }
                }
                _ => return,
            }
        }
    }

    /// A step that was reached and that this build does not have. It may be the pivot, and then there is only forward.
    fn gone(&self) -> Option<String> {
        let done = |s: &&StepInfo| self.run.status(s.name) == Some(StepStatus::Done);
        let lasts = self.steps.iter().filter(done).any(lasting);
        let matters = |status| match status {
            // A pivot that was skipped matters as soon as something after it cannot be undone.
            StepStatus::Skipped => lasts,
            StepStatus::Voided | StepStatus::Failed | StepStatus::Compensated => false,
            _ => true,
        };
        let mut steps = self.run.steps.iter();
        let step = steps.find(|s| matters(s.status) && self.index(&s.name).is_none());
        step.map(|s| s.name.clone())
    }

    /// Begins the steps after those that were reached; `false` if there are none.
    fn enter_next(&mut self) -> bool {
        let next = match self.last() {
            Some(last) => stage(&self.steps, last).end,
            None => match self.run.steps.last() {
                // None of the steps that were reached is there any more: nobody knows where it stands.
                Some(step) => {
                    let why = self.unfit(&step.name.clone());
                    self.halt(why);
                    return true;
                }
                None => 0,
            },
        };
        if next >= self.steps.len() {
            return false;
        }
        let mut begin = Vec::new();
        // What runs is decided for all of a group before any of it begins.
        for index in stage(&self.steps, next) {
            let name = self.steps[index].name;
            let runs = self.runs(index);
            self.run.steps.push(StepRun {
                name: name.to_owned(),
                status: StepStatus::Running,
                attempts: 0,
                compensations: 0,
                started_at: self.env.now,
                ended_at: None,
                error: None,
                given_up: false,
            });
            match runs {
                Ok(true) => begin.push(index),
                Ok(false) => {
                    self.mark(index, StepStatus::Skipped, None);
                    self.note_step("skipped", name);
                }
                Err(e) => {
                    let text = format!("its condition cannot be evaluated: {e}");
                    self.give_up_new(index, plain("failed", name, &text));
                }
            }
        }
        for index in begin {
            self.execute(index, false, 0);
        }
        true
    }

    /// Whether a step is to run: its own condition, or that its branch is the chosen one.
    fn runs(&mut self, index: usize) -> crate::error::Result<bool> {
        let step = self.steps[index];
        let Some(choice) = step.choice else {
            return self.flow.holds(index, &self.run.state);
        };
        if let Some(chosen) = self.run.choices.get(choice) {
            return Ok(chosen.as_deref() == Some(step.when.unwrap_or(OTHERWISE)));
        }
        let chosen = self.choose(choice)?;
        let runs = chosen == Some(step.when.unwrap_or(OTHERWISE));
        let chosen = chosen.map(str::to_owned);
        let detail = serde_json::json!({ "choice": choice, "branch": chosen });
        self.note("chose", Payload::encode(&detail).ok().as_ref());
        self.run.choices.insert(choice.to_owned(), chosen);
        Ok(runs)
    }

    /// The first branch of a choice whose condition holds now.
    fn choose(&self, choice: &str) -> crate::error::Result<Option<&'static str>> {
        let branches = self.steps.iter().enumerate();
        let (mut seen, mut otherwise) = (Vec::new(), None);
        for (index, step) in branches.filter(|(_, s)| s.choice == Some(choice)) {
            match step.when {
                None => otherwise = Some(OTHERWISE),
                Some(when) if !seen.contains(&when) => {
                    seen.push(when);
                    if self.flow.holds(index, &self.run.state)? {
                        return Ok(Some(when));
                    }
                }
                Some(_) => {}
            }
        }
        Ok(otherwise)
    }

    /// All of the last group has ended and one of it failed: from here on it is undone - or, if a pivot was done
    /// meanwhile, the others of the group are insisted on.
    fn turn_back(&mut self) {
        let last = self.last();
        if let Some(last) = last.filter(|last| self.past_pivot(*last)) {
            let why = self.run.error.take();
            self.note("the pivot is done: there is only forward", None);
            for index in stage(&self.steps, last) {
                let name = self.steps[index].name;
                if self.run.step(name).is_some_and(|s| s.given_up) {
                    self.begin_again(index, why.clone());
                }
            }
            return;
        }
        self.row.status = Status::Compensating.as_str().to_owned();
    }

    /// Undoes the last group that has something to undo; `false` if there is none.
    fn undo_next(&mut self) -> bool {
        // Whoever brought it on its way is to be undone, whatever was tried since.
        let open = |status| {
            matches!(
                status,
                StepStatus::Done | StepStatus::Stuck | StepStatus::Compensating
            )
        };
        let done = self.run.steps.iter().filter(|s| open(s.status));
        let gone = done.map(|s| s.name.clone());
        if let Some(name) = gone.into_iter().find(|name| self.index(name).is_none()) {
            self.misfit(&name);
            return false;
        }
        let undoable = |index: &usize| {
            let step = &self.steps[*index];
            let done = self.run.status(step.name) == Some(StepStatus::Done);
            done && step.compensation.is_some()
        };
        let Some(last) = (0..self.steps.len()).rev().find(undoable) else {
            return false;
        };
        let group: Vec<usize> = stage(&self.steps, last).filter(undoable).collect();
        for index in group {
            self.mark(index, StepStatus::Compensating, None);
            self.execute(index, true, 0);
        }
        true
    }

    pub(super) fn mark(&mut self, index: usize, status: StepStatus, error: Option<Trouble>) {
        let (name, now) = (self.steps[index].name, self.env.now);
        if let Some(step) = self.run.step(name) {
            step.status = status;
            step.ended_at = Some(now);
            if error.is_some() {
                step.error = error;
            }
        }
    }

    /// The step did nothing and will not, unless a pivot beside it turns out to be done.
    pub(super) fn mark_given_up(
        &mut self,
        index: usize,
        status: StepStatus,
        error: Option<Trouble>,
    ) {
        self.mark(index, status, error);
        if let Some(step) = self.run.step(self.steps[index].name) {
            step.given_up = true;
        }
    }

    /// It ends, unless a step was left open: nobody would look after that any more.
    fn end(&mut self, status: Status) {
        let open = |s: &&StepRun| {
            matches!(
                s.status,
                StepStatus::Running | StepStatus::Compensating | StepStatus::Stuck
            )
        };
        if let Some(step) = self.run.steps.iter().find(open) {
            let why = plain("failed", &step.name, "nobody looks after it");
            return self.stuck(why);
        }
        self.row.status = status.as_str().to_owned();
        self.note(status.as_str(), None);
        self.answer_parent();
    }

    /// It cannot go on by itself; `why` names the step.
    pub(super) fn stuck(&mut self, why: Trouble) {
        if let Some(step) = self.run.step(&why.step.clone()) {
            step.status = StepStatus::Stuck;
            step.error = Some(why.clone());
        }
        self.halt(why);
    }

    /// The same, while its steps stay as they are.
    fn halt(&mut self, why: Trouble) {
        let detail = Payload::encode(&why).ok();
        if let Some(from) = self.status().filter(|s| *s != Status::Stuck) {
            self.run.halt = Some(Halt { from, why });
        }
        self.row.status = Status::Stuck.as_str().to_owned();
        self.note("stuck", detail.as_ref());
    }

    /// What it did before it was stuck.
    pub(super) fn before(&self) -> Status {
        self.run.halt.as_ref().map_or(Status::Running, |h| h.from)
    }

    /// Lets what comes move a saga that is stuck: `doze` puts it back unless that was all it needed.
    pub(super) fn wake(&mut self, step: &str) -> Option<Halt> {
        if !self.is(Status::Stuck) {
            return None;
        }
        let halt = self.run.halt.take()?;
        let from = halt.from;
        self.row.status = from.as_str().to_owned();
        if let Some(run) = self
            .run
            .step(step)
            .filter(|s| s.status == StepStatus::Stuck)
        {
            run.status = match from {
                Status::Compensating => StepStatus::Compensating,
                _ => StepStatus::Running,
            };
        }
        Some(halt)
    }

    pub(super) fn doze(&mut self, halt: Option<Halt>) {
        let Some(halt) = halt.filter(|_| !self.is(Status::Stuck)) else {
            return;
        };
        if self.run.steps.iter().any(|s| s.status == StepStatus::Stuck) {
            self.row.status = Status::Stuck.as_str().to_owned();
            self.run.halt = Some(halt);
        } else {
            self.note("goes on", None);
        }
    }

    /// The first step that waits for this signal, and can still be reached or does so now.
    pub(super) fn awaited_at(&self, signal: &str) -> Option<usize> {
        let open = |name: &str| match self.run.status(name) {
            None => true,
            Some(status) => matches!(status, StepStatus::Running | StepStatus::Stuck),
        };
        let waits = |s: &StepInfo| waits_for(s, signal) && open(s.name);
        let step = self.steps.iter().position(waits);
        step.filter(|_| self.goes_forward())
    }

    /// Whether a step that waits for this signal can still be reached, or waits.
    pub(super) fn awaits(&self, signal: &str) -> bool {
        self.awaited_at(signal).is_some()
    }

    /// Whether a step of this definition waits for this signal.
    pub(super) fn knows(&self, signal: &str) -> bool {
        self.steps.iter().any(|s| waits_for(s, signal))
    }

    /// Whether more steps may be reached.
    pub(super) fn goes_forward(&self) -> bool {
        let forward = match self.status() {
            Some(Status::Stuck) => self.before() == Status::Running,
            status => status == Some(Status::Running),
        };
        forward && self.run.error.is_none()
    }
}

/// Why a saga is stuck whose row does not say so: earlier versions left it as it stood, or kept the reason where it says
/// that the saga is undone.
pub(super) fn unsaid(row: &SagaRow, run: &mut Run) -> Halt {
    let undoes = run.executions.iter().any(|e| e.undo);
    let undone =
        |s: &StepRun| matches!(s.status, StepStatus::Compensating | StepStatus::Compensated);
    let (from, why) = match undoes || run.steps.iter().any(undone) {
        true => (Status::Compensating, None),
        false => (Status::Running, run.error.take()),
    };
    let why = why.unwrap_or_else(|| plain("failed", &row.name, "nobody knows why"));
    Halt { from, why }
}

fn waits_for(step: &StepInfo, signal: &str) -> bool {
    matches!(step.what, What::Wait(name) if name == signal)
}

/// The name of "no condition" among the branches of a choice.
const OTHERWISE: &str = "otherwise";
