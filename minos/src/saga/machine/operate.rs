//! What operators do to a saga.

use super::{By, Machine, record::plain};
use crate::{
    error::{Error, Kind, Result},
    saga::run::{Execution, Status, StepRun, StepStatus, Waiting},
};

/// What an operator wants of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish<'a> {
    /// It is undone.
    Cancel,
    /// It is stuck, and goes on where it stands with fresh attempts.
    Retry,
    /// What it waits for (the named step, or the only one) is taken for done, or for undone.
    Skip(Option<&'a str>),
}

impl Machine<'_> {
    pub(super) fn operate(&mut self, wish: Wish<'_>, by: By<'_>) -> Result<()> {
        if matches!(
            self.status(),
            None | Some(Status::Completed | Status::Compensated)
        ) {
            return Err(conflict(&format!("the saga is {}", self.row.status)));
        }
        match wish {
            Wish::Cancel => self.cancel(by)?,
            Wish::Retry => self.retry(by)?,
            Wish::Skip(step) => self.skip(step, by)?,
        }
        self.advance();
        Ok(())
    }

    fn cancel(&mut self, by: By<'_>) -> Result<()> {
        if self.last().is_some_and(|last| self.past_pivot(last)) {
            return Err(conflict("it is past its pivot: there is only forward"));
        }
        let stuck = self.is(Status::Stuck);
        let forward = match stuck {
            true => self.before() == Status::Running,
            false => self.is(Status::Running),
        };
        if !forward || self.run.error.is_some() {
            let text = match stuck {
                true => "it is being undone, and stuck: retry or skip what it is stuck at",
                false => "it is being undone already",
            };
            return Err(conflict(text));
        }
        self.note_decision("cancelled", None, by);
        if stuck {
            self.run.halt = None;
            self.row.status = Status::Running.as_str().to_owned();
            for index in self.stuck_steps() {
                let name = self.steps[index].name;
                let waits = self.run.executions.iter().any(|e| e.step == name);
                match waits {
                    true => self.set(index, StepStatus::Running),
                    false => self.mark_given_up(index, StepStatus::Failed, None),
                }
            }
        }
        let text = match by.why.is_empty() {
            true => format!("cancelled by {}", by.who),
            false => format!("cancelled by {}: {}", by.who, by.why),
        };
        self.run.error = Some(plain("cancelled", &self.row.name.clone(), &text));
        Ok(())
    }

    fn retry(&mut self, by: By<'_>) -> Result<()> {
        if !self.is(Status::Stuck) {
            return Err(conflict("it is not stuck"));
        }
        let from = self.before();
        self.note_decision("retried", None, by);
        self.run.halt = None;
        self.row.status = from.as_str().to_owned();
        let undo = from == Status::Compensating;
        let status = match undo {
            true => StepStatus::Compensating,
            false => StepStatus::Running,
        };
        let stuck = self.stuck_steps();
        for index in &stuck {
            self.set(*index, status);
        }
        let commands: Vec<_> = self.run.executions.iter().map(|e| e.command).collect();
        for command in commands {
            let Some(execution) = self.take(command) else {
                continue;
            };
            match self.failing() && execution.waiting != Waiting::Void {
                // It is called off, not tried again.
                true => self.keep(execution),
                false => self.refresh(execution),
            }
        }
        for index in stuck {
            let name = self.steps[index].name;
            // What was kept for it may have moved it meanwhile.
            let open = self.run.status(name) == Some(status);
            if !open || self.run.executions.iter().any(|e| e.step == name) {
                continue;
            }
            match (self.is(from), self.failing()) {
                // Another one of its group is stuck again: it is tried with that.
                (false, _) => self.set(index, StepStatus::Stuck),
                (true, true) => self.mark_given_up(index, StepStatus::Failed, None),
                (true, false) => self.execute(index, undo, 0),
            }
        }
        Ok(())
    }

    /// Fresh attempts for an execution: under its old command id, as nobody knows whether it ran. One that was answered
    /// takes its answer: who gave it may not be there any more.
    fn refresh(&mut self, mut execution: Execution) {
        let Some(index) = self.place(&execution) else {
            return self.keep(execution);
        };
        execution.before = 0;
        execution.paused = false;
        if let Some(answer) = execution.answer.take() {
            self.note_of("takes its answer", &execution, None);
            return self.heard(execution, &answer);
        }
        let nested = self.nested(index, execution.undo);
        match execution.waiting {
            Waiting::Void => {
                execution.attempt = 1;
                self.send_void(execution);
            }
            Waiting::Local => {
                execution.attempt = 1;
                execution.due_at = Some(self.env.now);
                self.keep(execution);
            }
            Waiting::Signal => {
                let timeout = self.steps[index].timeout;
                execution.due_at = timeout.map(|t| self.env.now + t);
                self.heed(index, execution);
            }
            // The saga that was started is there, and answers when it has ended.
            Waiting::Reply if nested && execution.attempt > 0 => self.keep(execution),
            Waiting::Reply => {
                execution.attempt = 1;
                self.send(index, execution);
            }
        }
    }

    fn skip(&mut self, step: Option<&str>, by: By<'_>) -> Result<()> {
        let (stuck, from) = (self.is(Status::Stuck), self.before());
        let open: Vec<String> = match stuck {
            true => {
                let halt = self.run.halt.as_ref().map(|h| h.why.step.as_str());
                // What it is stuck at, or for which it does not turn back.
                let at = |s: &&StepRun| {
                    let gone = halt == Some(&s.name) && self.index(&s.name).is_none();
                    s.status == StepStatus::Stuck || gone
                };
                let steps = self.run.steps.iter().filter(at);
                steps.map(|s| s.name.clone()).collect()
            }
            false => self.run.executions.iter().map(|e| e.step.clone()).collect(),
        };
        let name = match (step, open.as_slice()) {
            (None, [only]) => only.clone(),
            (None, []) => return Err(conflict("there is no step to skip")),
            (None, _) => return Err(conflict(&format!("say which step: {}", open.join(", ")))),
            (Some(name), _) if open.iter().any(|n| n == name) => name.to_owned(),
            (Some(name), _) => {
                let text = format!(
                    "`{name}` is not among the steps to skip: {}",
                    open.join(", ")
                );
                return Err(conflict(&text));
            }
        };
        let undo = match stuck {
            true => from == Status::Compensating,
            false => self.is(Status::Compensating),
        };
        self.run.executions.retain(|e| e.step != name);
        let (status, what) = match (undo, self.run.error.is_some()) {
            (true, _) => (StepStatus::Compensated, "skipped: taken for undone"),
            // It is called off: as if it had not run.
            (false, true) => (StepStatus::Voided, "skipped: taken for called off"),
            (false, false) => (StepStatus::Done, "skipped: taken for done"),
        };
        self.note_decision(what, Some(&name), by);
        let now = self.env.now;
        if let Some(step) = self.run.step(&name) {
            (step.status, step.ended_at) = (status, Some(now));
        }
        let any = self.run.steps.iter().any(|s| s.status == StepStatus::Stuck);
        if stuck && !any {
            self.run.halt = None;
            self.row.status = from.as_str().to_owned();
        }
        Ok(())
    }

    fn stuck_steps(&self) -> Vec<usize> {
        let stuck = |name: &str| self.run.status(name) == Some(StepStatus::Stuck);
        let all = 0..self.steps.len();
        all.filter(|i| stuck(self.steps[*i].name)).collect()
    }

    fn set(&mut self, index: usize, status: StepStatus) {
        if let Some(step) = self.run.step(self.steps[index].name) {
            step.status = status;
            step.ended_at = None;
        }
    }
}

fn conflict(text: &str) -> Error {
    Error::new(Kind::Conflict, text)
}
