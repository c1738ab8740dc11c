//! Forward: what an answer means, and what it means that there is none.

use chrono::{DateTime, Utc};

use super::{
    Machine, PERSISTENCE,
    record::{plain, trouble},
};
use crate::{
    message::{self, Outcome},
    saga::{
        Verdict,
        run::{Execution, StepStatus, Trouble, Waiting},
    },
};

impl Machine<'_> {
    /// The answer to an execution of a step.
    pub(super) fn answered(&mut self, index: usize, execution: Execution, outcome: &Outcome) {
        let called_off = execution.waiting == Waiting::Void;
        // It was only asked because nobody answered, and the step says what that means.
        let lapsing = called_off && !self.failing() && self.steps[index].on_timeout;
        let resolved = called_off && !lapsing;
        match outcome.status {
            message::Status::Done => self.succeeded(index, execution, outcome, resolved),
            message::Status::Refused if !resolved => self.refused(index, execution, outcome),
            message::Status::Failed if !resolved => {
                let why = trouble(&execution.step, outcome);
                self.not_executed(index, &execution, StepStatus::Failed, why);
            }
            message::Status::Voided if lapsing => {
                let why = execution.why.clone();
                let why = why.unwrap_or_else(|| trouble(&execution.step, outcome));
                self.lapse(index, &execution, StepStatus::Voided, why);
            }
            status => {
                // Resolved, or voided by somebody: it did not run and never will.
                let status = match status {
                    message::Status::Refused => StepStatus::Refused,
                    message::Status::Failed => StepStatus::Failed,
                    _ => StepStatus::Voided,
                };
                let why = execution.why.clone().or_else(|| self.run.error.clone());
                let why = why.unwrap_or_else(|| trouble(&execution.step, outcome));
                self.give_up(index, &execution, status, why);
            }
        }
    }

    /// The participant did it. `resolved`: this was asked only to know what to undo.
    fn succeeded(&mut self, index: usize, execution: Execution, outcome: &Outcome, resolved: bool) {
        let step = self.steps[index];
        let forward = step.pivot || self.past_pivot(index);
        let (verdict, state) = match self.flow.read(index, outcome, &self.run.state) {
            Ok(read) => read,
            Err(e) => {
                let text = format!("the reply cannot be read: {e}");
                return self.unwanted(index, execution, plain("failed", step.name, &text));
            }
        };
        // If it is stuck with this answer, it is read again, from the state of now.
        let before = std::mem::replace(&mut self.run.state, state);
        match verdict {
            // A pivot that ran cannot be undone: forward.
            _ if resolved && forward => self.mark(index, StepStatus::Done, None),
            _ if resolved => {
                self.mark(index, StepStatus::Done, None);
                let late = || plain("timed_out", step.name, "it was answered too late");
                let why = execution.why.unwrap_or_else(late);
                self.run.error.get_or_insert(why);
            }
            Verdict::Continue => self.mark(index, StepStatus::Done, None),
            // A command that ran must not run twice: only a question is asked again.
            Verdict::Retry if !execution.changes && execution.before < step.retry => {
                self.execute(index, false, execution.before + 1);
            }
            Verdict::Retry | Verdict::Compensate => {
                let text = "`on_success` decided to compensate";
                self.unwanted(index, execution, plain("refused", step.name, text));
                if self.run.status(step.name) == Some(StepStatus::Stuck) {
                    self.run.state = before;
                }
            }
        }
    }

    /// The step ran, but the saga is to be undone; where that is not possible somebody must look.
    fn unwanted(&mut self, index: usize, execution: Execution, why: Trouble) {
        if self.steps[index].pivot || self.past_pivot(index) {
            self.keep(execution);
            return self.stuck(why);
        }
        self.mark(index, StepStatus::Done, None);
        self.run.error.get_or_insert(why);
    }

    fn refused(&mut self, index: usize, execution: Execution, outcome: &Outcome) {
        let why = trouble(&execution.step, outcome);
        let status = StepStatus::Refused;
        match self.flow.read(index, outcome, &self.run.state) {
            Ok((verdict, state)) => {
                self.run.state = state;
                match verdict {
                    Verdict::Continue => self.mark(index, status, Some(why)),
                    Verdict::Retry => self.not_executed(index, &execution, status, why),
                    Verdict::Compensate => self.give_up(index, &execution, status, why),
                }
            }
            Err(e) => {
                let text = format!("the refusal cannot be read: {e}");
                self.give_up(index, &execution, status, Trouble { text, ..why });
            }
        }
    }

    /// It did not run: a new execution, if the step has one left.
    fn not_executed(
        &mut self,
        index: usize,
        execution: &Execution,
        status: StepStatus,
        why: Trouble,
    ) {
        if execution.before < self.steps[index].retry {
            if let Some(step) = self.run.step(&execution.step) {
                step.error = Some(why);
            }
            return self.execute(index, false, execution.before + 1);
        }
        self.give_up(index, execution, status, why);
    }

    /// The step did nothing and will not: undo those before it - or, after the pivot, insist.
    pub(super) fn give_up(
        &mut self,
        index: usize,
        execution: &Execution,
        status: StepStatus,
        why: Trouble,
    ) {
        if !self.past_pivot(index) {
            self.mark_given_up(index, status, Some(why.clone()));
            self.run.error.get_or_insert(why);
            return;
        }
        let before = execution.before.max(execution.attempt.saturating_sub(1));
        if before >= PERSISTENCE {
            return self.stuck(why);
        }
        if let Some(step) = self.run.step(&execution.step) {
            step.error = Some(why);
        }
        self.execute(index, false, before + 1);
    }

    /// The same of a step that was not even begun.
    pub(super) fn give_up_new(&mut self, index: usize, why: Trouble) {
        if self.past_pivot(index) {
            return self.stuck(why);
        }
        self.mark_given_up(index, StepStatus::Failed, Some(why.clone()));
        self.run.error.get_or_insert(why);
    }

    /// A step that was given up is needed after all.
    pub(super) fn begin_again(&mut self, index: usize, why: Option<Trouble>) {
        let name = self.steps[index].name;
        if let Some(step) = self.run.step(name) {
            step.status = StepStatus::Running;
            step.given_up = false;
            step.ended_at = None;
            step.error = step.error.take().or(why);
        }
        self.execute(index, false, 1);
    }

    /// An execution is due: its time is over, or its pause. `unsent`: of when the oldest message is that has not left
    /// this service yet.
    pub(super) fn late(&mut self, mut execution: Execution, unsent: Option<DateTime<Utc>>) {
        let Some(index) = self.place(&execution) else {
            return self.keep(execution);
        };
        let step = self.steps[index];
        let pauses = execution.attempt == 0 || execution.paused;
        match execution.waiting {
            // It is run by whoever looks after what is due.
            Waiting::Local => {
                execution.due_at = Some(self.env.now);
                return self.keep(execution);
            }
            Waiting::Signal => {
                self.note_of("timed out", &execution, None);
                let why = plain("timed_out", step.name, "no signal came in time");
                return self.lapse(index, &execution, StepStatus::Failed, why);
            }
            Waiting::Reply if pauses => {
                execution.attempt += 1;
                return self.send(index, execution);
            }
            Waiting::Reply | Waiting::Void => {}
        }
        if self.held(index, &mut execution, unsent) {
            return self.keep(execution);
        }
        match execution.waiting {
            Waiting::Void => self.void_again(index, execution),
            _ if execution.undo => self.undo_again(index, execution),
            _ => {
                self.note_of("timed out", &execution, None);
                let nested = self.nested(index, false);
                let insists = self.past_pivot(index) && !step.on_timeout;
                if !nested && (execution.attempt <= step.retry || insists) {
                    return self.send_again(index, execution);
                }
                let text = format!("no answer after {} attempts", execution.attempt);
                let why = plain("timed_out", step.name, &text);
                if execution.changes {
                    self.resolve(execution, why)
                } else {
                    self.lapse(index, &execution, StepStatus::Failed, why)
                }
            }
        }
    }

    /// Nobody answered in time, and it is certain that the step did nothing.
    fn lapse(&mut self, index: usize, execution: &Execution, status: StepStatus, why: Trouble) {
        if !self.steps[index].on_timeout {
            return self.give_up(index, execution, status, why);
        }
        match self.flow.lapse(index, &self.run.state) {
            Ok((verdict, state)) => {
                self.run.state = state;
                match verdict {
                    Verdict::Continue => {
                        self.note_of("goes on without it", execution, None);
                        self.mark(index, StepStatus::Lapsed, Some(why));
                    }
                    // The user decides each time: the deadline is the bound.
                    Verdict::Retry => self.execute(index, false, execution.before + 1),
                    Verdict::Compensate => self.give_up(index, execution, status, why),
                }
            }
            Err(e) => {
                let text = format!("{}; `on_timeout` failed: {e}", why.text);
                self.give_up(index, execution, status, Trouble { text, ..why });
            }
        }
    }
}
