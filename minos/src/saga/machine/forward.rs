//! Forward: steps begin, are tried again, and are done.

use chrono::{DateTime, Utc};

use super::{Machine, PERSISTENCE, TIMEOUT, plain, trouble};
use crate::{
    message::{self, Outcome},
    saga::{
        TargetKind, Verdict,
        flow::What,
        run::{Execution, Status, StepRun, StepStatus, Trouble, Waiting},
    },
};

impl Machine<'_> {
    /// Begins the step at `index`; past the last one the saga is complete.
    pub(super) fn enter(&mut self, index: usize) {
        let Some(step) = self.steps.get(index).copied() else {
            self.run.execution = None;
            return self.end(Status::Completed);
        };
        if self.run.step(step.name).is_none() {
            self.run.steps.push(StepRun {
                name: step.name.to_owned(),
                status: StepStatus::Running,
                attempts: 0,
                compensations: 0,
                started_at: self.env.now,
                ended_at: None,
                error: None,
            });
        }
        self.execute(index, false, 0);
    }

    /// A new execution of a step, or of its compensation, under a new command id.
    pub(super) fn execute(&mut self, index: usize, undo: bool, before: u32) {
        let step = self.steps[index];
        let local = if undo {
            step.compensation == Some(What::Local)
        } else {
            step.what == What::Local
        };
        let execution = Execution {
            command: self.env.clock.new_uuid(),
            step: step.name.to_owned(),
            undo,
            attempt: 1,
            before,
            waiting: if local {
                Waiting::Local
            } else {
                Waiting::Reply
            },
            changes: true,
            since: self.env.now,
            sent_at: None,
            held: false,
        };
        if local || before > 0 {
            // A repetition waits: `due` runs or sends it.
            self.row.due_at = Some(self.env.now + self.pause(before));
            self.run.execution = Some(Execution {
                attempt: u32::from(local),
                ..execution
            });
            return;
        }
        self.send(index, execution);
    }

    /// Sends the command of an execution.
    pub(super) fn send(&mut self, index: usize, mut execution: Execution) {
        let step = self.steps[index];
        let outgoing = match self.flow.request(index, execution.undo, &self.run.state) {
            Ok(outgoing) => outgoing,
            Err(e) => {
                let why = plain(
                    "failed",
                    step.name,
                    &format!("the message cannot be made: {e}"),
                );
                // Whether an earlier attempt ran is not known, or there is only forward: somebody must look.
                if execution.undo || execution.attempt > 1 || self.past_pivot(index) {
                    return self.stuck(why);
                }
                self.run.execution = None;
                return self.give_up(index, StepStatus::Failed, why);
            }
        };
        let kind = match outgoing.kind {
            TargetKind::Query => message::Kind::Query,
            TargetKind::Command | TargetKind::Saga => message::Kind::Command,
        };
        execution.changes = outgoing.kind.changes();
        execution.sent_at = Some(self.env.now);
        execution.held = false;
        self.message(kind, outgoing.name, execution.command, outgoing.payload);
        if let Some(run) = self.run.step(step.name) {
            if execution.undo {
                run.compensations += 1
            } else {
                run.attempts += 1
            }
        }
        let wait = step.timeout.unwrap_or(TIMEOUT);
        let wait = if execution.attempt > 1 {
            wait + self.pause(execution.attempt - 1)
        } else {
            wait
        };
        self.row.due_at = Some(self.bounded(self.env.now + wait, execution.undo, index));
        self.run.execution = Some(execution);
        self.note("sent", None);
    }

    /// An attempt that has not left cannot be answered, and another one would not come sooner: the time to answer
    /// begins when it has left. `false` if it left and had that time.
    pub(super) fn held(&mut self, index: usize, unsent: Option<DateTime<Utc>>) -> bool {
        let Some(mut execution) = self.run.execution.clone() else {
            return false;
        };
        let stays = match (execution.sent_at, unsent) {
            (Some(sent), Some(oldest)) => oldest <= sent,
            _ => false,
        };
        if !stays && !execution.held {
            return false;
        }
        if stays && !execution.held {
            self.note("not sent yet", None);
        }
        execution.held = stays;
        let wait = self.steps[index].timeout.unwrap_or(TIMEOUT);
        self.row.due_at = Some(self.bounded(self.env.now + wait, execution.undo, index));
        self.run.execution = Some(execution);
        true
    }

    pub(super) fn send_again(&mut self, index: usize, mut execution: Execution) {
        if execution.attempt > self.steps[index].retry.max(PERSISTENCE) {
            let text = format!("no answer after {} attempts", execution.attempt);
            return self.stuck(plain("timed_out", &execution.step, &text));
        }
        execution.attempt += 1;
        self.send(index, execution);
    }

    pub(super) fn local_again(&mut self, mut execution: Execution, why: Trouble) {
        self.row.due_at = Some(self.env.now + self.pause(execution.attempt));
        execution.attempt += 1;
        if let Some(step) = self.run.step(&execution.step) {
            step.error = Some(why);
        }
        self.run.execution = Some(execution);
    }

    /// The participant did it. `resolved`: this was asked only to know what to undo.
    pub(super) fn succeeded(&mut self, index: usize, outcome: &Outcome, resolved: bool) {
        let verdict = match self.flow.read(index, outcome, &self.run.state) {
            Ok((verdict, state)) => {
                self.run.state = state;
                verdict
            }
            Err(e) => {
                let text = format!("the reply cannot be read: {e}");
                self.mark(index, StepStatus::Done, None);
                return self.compensate(index, plain("failed", self.steps[index].name, &text));
            }
        };
        let execution = self.run.execution.as_ref();
        let (before, changes) = execution.map_or((0, true), |e| (e.before, e.changes));
        match verdict {
            // A pivot that ran cannot be undone: forward.
            _ if resolved && self.past_pivot(index + 1) => self.done(index),
            _ if resolved => {
                self.mark(index, StepStatus::Done, None);
                let name = self.steps[index].name;
                let why = self.run.error.clone();
                let why =
                    why.unwrap_or_else(|| plain("timed_out", name, "it was answered too late"));
                self.compensate(index, why);
            }
            Verdict::Continue => self.done(index),
            // A command that ran must not run twice: only a question is asked again.
            Verdict::Retry if !changes && before < self.steps[index].retry => {
                self.execute(index, false, before + 1)
            }
            Verdict::Retry | Verdict::Compensate => {
                self.mark(index, StepStatus::Done, None);
                let why = plain(
                    "refused",
                    self.steps[index].name,
                    "`on_success` decided to compensate",
                );
                self.compensate(index, why);
            }
        }
    }

    pub(super) fn refused(&mut self, index: usize, outcome: &Outcome, execution: &Execution) {
        let why = trouble(&execution.step, outcome);
        match self.flow.read(index, outcome, &self.run.state) {
            Ok((Verdict::Continue, state)) => {
                self.run.state = state;
                self.mark(index, StepStatus::Refused, Some(why));
                self.enter(index + 1);
            }
            Ok((Verdict::Retry, state)) => {
                self.run.state = state;
                self.not_executed(index, StepStatus::Refused, why, execution);
            }
            Ok((Verdict::Compensate, state)) => {
                self.run.state = state;
                self.give_up(index, StepStatus::Refused, why);
            }
            Err(e) => {
                let text = format!("the refusal cannot be read: {e}");
                self.give_up(index, StepStatus::Refused, Trouble { text, ..why });
            }
        }
    }

    /// It did not run: a new execution, if the step has one left.
    pub(super) fn not_executed(
        &mut self,
        index: usize,
        status: StepStatus,
        why: Trouble,
        execution: &Execution,
    ) {
        if execution.before < self.steps[index].retry {
            if let Some(step) = self.run.step(&execution.step) {
                step.error = Some(why);
            }
            return self.execute(index, false, execution.before + 1);
        }
        self.give_up(index, status, why);
    }

    pub(super) fn done(&mut self, index: usize) {
        self.mark(index, StepStatus::Done, None);
        self.enter(index + 1);
    }

    /// The step did nothing and will not: undo those before it - or, after the pivot, insist.
    pub(super) fn give_up(&mut self, index: usize, status: StepStatus, why: Trouble) {
        if self.past_pivot(index) {
            let before = self
                .run
                .execution
                .as_ref()
                .map_or(0, |e| e.before.max(e.attempt.saturating_sub(1)));
            if before < PERSISTENCE {
                if let Some(step) = self.run.step(self.steps[index].name) {
                    step.error = Some(why);
                }
                return self.execute(index, false, before + 1);
            }
            return self.stuck(why);
        }
        self.mark(index, status, Some(why.clone()));
        match index.checked_sub(1) {
            Some(last) => self.compensate(last, why),
            None => {
                self.run.error = Some(why);
                self.run.execution = None;
                self.end(Status::Compensated);
            }
        }
    }
}
