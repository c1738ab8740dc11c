//! Backward: an unknown outcome is resolved, then what is done is undone.

use super::{Machine, PERSISTENCE, TIMEOUT, plain};
use crate::{
    message,
    payload::Payload,
    saga::run::{Execution, Status, StepStatus, Trouble, Waiting},
};

impl Machine<'_> {
    /// Asks the participant to void the command and to say what became of it.
    pub(super) fn resolve(&mut self, why: Trouble) {
        self.run.error = Some(why);
        let Some(mut execution) = self.run.execution.clone() else {
            return;
        };
        execution.waiting = Waiting::Void;
        execution.attempt = 1;
        self.run.execution = Some(execution.clone());
        self.send_void(&execution);
    }

    pub(super) fn void_again(&mut self, execution: &Execution) {
        if execution.attempt >= PERSISTENCE {
            let text = format!(
                "nobody says whether it ran, after {} questions",
                execution.attempt
            );
            return self.stuck(plain("timed_out", &execution.step, &text));
        }
        let execution = Execution {
            attempt: execution.attempt + 1,
            ..execution.clone()
        };
        self.run.execution = Some(execution.clone());
        self.send_void(&execution);
    }

    pub(super) fn send_void(&mut self, execution: &Execution) {
        let Some(index) = self.index(&execution.step) else {
            return self.unknown_step(&execution.step);
        };
        match self.flow.request(index, false, &self.run.state) {
            Ok(outgoing) => {
                self.run.execution = Some(Execution {
                    sent_at: Some(self.env.now),
                    held: false,
                    ..execution.clone()
                });
                self.message(
                    message::Kind::Void,
                    outgoing.name,
                    execution.command,
                    Payload::null(),
                );
                let wait = self.steps[index].timeout.unwrap_or(TIMEOUT)
                    + self.pause(execution.attempt - 1);
                self.row.due_at = Some(self.env.now + wait);
                self.note("asked to void", None);
            }
            Err(e) => self.stuck(plain("failed", &execution.step, &e.to_string())),
        }
    }

    /// Undoes what is done, from the step at `from` down.
    pub(super) fn compensate(&mut self, from: usize, why: Trouble) {
        if self.past_pivot(from + 1) {
            return self.stuck(why);
        }
        let done = self
            .run
            .steps
            .iter()
            .filter(|s| s.status == StepStatus::Done);
        let gone = done
            .map(|s| s.name.clone())
            .find(|name| self.index(name).is_none());
        if let Some(name) = gone {
            return self.unknown_step(&name);
        }
        self.run.error.get_or_insert(why);
        self.row.status = Status::Compensating.as_str().to_owned();
        for index in (0..=from).rev() {
            let step = self.steps[index];
            let done = self
                .run
                .step(step.name)
                .is_some_and(|s| s.status == StepStatus::Done);
            if done && step.compensation.is_some() {
                self.mark(index, StepStatus::Compensating, None);
                return self.execute(index, true, 0);
            }
        }
        self.run.execution = None;
        self.end(Status::Compensated);
    }

    pub(super) fn undone(&mut self, index: usize) {
        self.mark(index, StepStatus::Compensated, None);
        let why = plain("failed", self.steps[index].name, "it was undone");
        match index.checked_sub(1) {
            Some(next) => self.compensate(next, why),
            None => {
                self.run.execution = None;
                self.end(Status::Compensated);
            }
        }
    }

    /// A compensation did definitely not run: a new execution of it, after a pause.
    pub(super) fn undo_failed(&mut self, index: usize, why: &Trouble) {
        let before = self.run.execution.as_ref().map_or(0, |e| e.before);
        if let Some(step) = self.run.step(self.steps[index].name) {
            step.error = Some(why.clone());
        }
        if before + 1 >= PERSISTENCE {
            return self.stuck(why.clone());
        }
        self.execute(index, true, before + 1);
    }

    /// A compensation was not answered in time (or its pause is over): the same execution again.
    pub(super) fn undo_again(&mut self, index: usize, execution: &Execution) {
        if execution.waiting == Waiting::Local {
            self.row.due_at = Some(self.env.now);
            return;
        }
        if execution.attempt >= PERSISTENCE {
            let text = format!(
                "its compensation was not answered after {} attempts",
                execution.attempt
            );
            return self.stuck(plain("timed_out", &execution.step, &text));
        }
        let execution = Execution {
            attempt: execution.attempt + 1,
            ..execution.clone()
        };
        self.send(index, execution);
    }
}
