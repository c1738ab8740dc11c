//! What a start, an answer, or the time means for a saga: a pure function from row to row.
//!
//! Rules (the names are those of the field's literature, see Garcia-Molina and Salem, "Sagas", 1987):
//! - One command id per *execution* of a step, shared by all its attempts; answers match it. Only a definite "not
//!   executed" (refused, failed, voided) allows a new execution with a new id.
//! - A step whose outcome is unknown is resolved before anything is undone: the participant is asked to void the
//!   command and answers what became of it.
//! - Compensations run in reverse, are awaited and retried; one that cannot succeed leaves the saga stuck.
//! - After the pivot there is only forward: what fails is tried again, then the saga is stuck.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    flow::{Flow, LocalOutcome, StepEnd, StepInfo, What},
    run::{Execution, Run, Status, StepStatus, Trouble, Waiting},
};
use crate::{
    clock::Clock,
    error::Result,
    message::{self, Headers, Message, Outcome, replies_topic},
    payload::Payload,
    store::SagaRow,
};

/// How long an attempt may take unless the step says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a compensation, a void, or a step after the pivot is tried before the saga is stuck.
const PERSISTENCE: u32 = 10;
/// How often a local step is tried again after a failure that may pass.
const LOCAL_RETRIES: u32 = 3;

/// What a transition needs from outside.
pub(crate) struct Env<'a> {
    pub(crate) now: DateTime<Utc>,
    pub(crate) clock: &'a dyn Clock,
    /// `source` is the service; user, correlation, and trace are those of the starter.
    pub(crate) headers: Headers,
}

/// The result of a transition: to be committed in one unit of work.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) row: SagaRow,
    pub(crate) history: Vec<Payload>,
    pub(crate) messages: Vec<Message>,
}

/// One line of a saga's history.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    at: DateTime<Utc>,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    compensation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Milliseconds since the execution began.
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a Payload>,
}

/// Starts a saga: its first step is sent or due.
pub(crate) fn start(flow: &dyn Flow, id: Uuid, state: Payload, env: &Env<'_>) -> Result<Moved> {
    let steps = flow.steps();
    let run = Run {
        state,
        steps: Vec::new(),
        execution: None,
        error: None,
        deadline_at: flow.deadline().map(|d| env.now + d),
        user: env.headers.user,
        correlation: env.headers.correlation,
        traceparent: env.headers.traceparent.clone(),
        definition: definition(&steps),
    };
    let row = SagaRow {
        id,
        name: flow.name().to_owned(),
        version: 0,
        status: Status::Running.as_str().to_owned(),
        due_at: None,
        created_at: env.now,
        updated_at: env.now,
        body: Payload::null(),
    };
    let mut machine = Machine {
        flow,
        steps,
        row,
        run,
        env,
        history: Vec::new(),
        messages: Vec::new(),
    };
    machine.note("started", None);
    machine.enter(0);
    machine.finish()
}

/// An answer came. A late, duplicate, or foreign one only leaves a line in the history.
pub(crate) fn reply(
    flow: &dyn Flow,
    row: SagaRow,
    command: Uuid,
    outcome: &Outcome,
    env: &Env<'_>,
) -> Result<Moved> {
    let mut machine = Machine::of(flow, row, env)?;
    machine.reply(command, outcome);
    machine.finish()
}

/// The saga is due: a timeout, a deadline, or a pause is over. `unsent`: of when the oldest message is that has not
/// left this service yet.
pub(crate) fn due(
    flow: &dyn Flow,
    row: SagaRow,
    unsent: Option<DateTime<Utc>>,
    env: &Env<'_>,
) -> Result<Moved> {
    let mut machine = Machine::of(flow, row, env)?;
    machine.due(unsent);
    machine.finish()
}

/// A local step, or a local compensation, ran.
pub(crate) fn local(
    flow: &dyn Flow,
    row: SagaRow,
    outcome: LocalOutcome,
    env: &Env<'_>,
) -> Result<Moved> {
    let mut machine = Machine::of(flow, row, env)?;
    machine.local(outcome);
    machine.finish()
}

/// The saga cannot be moved by this service: it is stuck as it stands.
pub(crate) fn abandon(mut row: SagaRow, why: &str, now: DateTime<Utc>) -> Moved {
    row.version += 1;
    row.status = Status::Stuck.as_str().to_owned();
    row.due_at = None;
    row.updated_at = now;
    let entry = serde_json::json!({ "at": now, "what": "stuck", "detail": why });
    Moved {
        row,
        history: vec![Payload::from_text(entry.to_string())],
        messages: Vec::new(),
    }
}

/// The local step that is to be run now, as its index and whether it is its compensation.
pub(crate) fn local_step(flow: &dyn Flow, run: &Run, now: DateTime<Utc>) -> Option<(usize, bool)> {
    let execution = run
        .execution
        .as_ref()
        .filter(|e| e.waiting == Waiting::Local)?;
    let late = run.deadline_at.is_some_and(|at| at <= now) && !execution.undo;
    let index = flow.steps().iter().position(|s| s.name == execution.step)?;
    let past_pivot = flow.steps()[..index].iter().any(|s| s.pivot);
    (!late || past_pivot).then_some((index, execution.undo))
}

/// Names and kinds of the steps, to be told when a run's step is no longer there.
fn definition(steps: &[StepInfo]) -> String {
    let step = |s: &StepInfo| {
        format!(
            "{}{}",
            s.name,
            if s.what == What::Local { ":local" } else { "" }
        )
    };
    steps.iter().map(step).collect::<Vec<_>>().join(",")
}

struct Machine<'a> {
    flow: &'a dyn Flow,
    steps: Vec<StepInfo>,
    row: SagaRow,
    run: Run,
    env: &'a Env<'a>,
    history: Vec<Payload>,
    messages: Vec<Message>,
}

impl<'a> Machine<'a> {
    fn of(flow: &'a dyn Flow, row: SagaRow, env: &'a Env<'a>) -> Result<Self> {
        let run = Run::of(&row)?;
        Ok(Self {
            steps: flow.steps(),
            flow,
            row,
            run,
            env,
            history: Vec::new(),
            messages: Vec::new(),
        })
    }

    fn finish(mut self) -> Result<Moved> {
        self.row.version += 1;
        self.row.updated_at = self.env.now;
        self.row.body = Payload::encode(&self.run)?;
        Ok(Moved {
            row: self.row,
            history: self.history,
            messages: self.messages,
        })
    }

    fn reply(&mut self, command: Uuid, outcome: &Outcome) {
        let detail = Payload::encode(outcome).ok();
        let active = [Status::Running, Status::Compensating].map(Status::as_str);
        let execution = self.run.execution.clone().filter(|e| e.command == command);
        let Some(execution) = execution.filter(|_| active.contains(&self.row.status.as_str()))
        else {
            self.note("ignored a late or foreign answer", detail.as_ref());
            return;
        };
        self.note("answered", detail.as_ref());
        let Some(index) = self.index(&execution.step) else {
            return self.unknown_step(&execution.step);
        };
        if execution.undo {
            match outcome.status {
                message::Status::Done => self.undone(index),
                _ => self.undo_failed(index, &trouble(&execution.step, outcome)),
            }
            return;
        }
        let resolved = execution.waiting == Waiting::Void;
        match outcome.status {
            message::Status::Done => self.succeeded(index, outcome, resolved),
            message::Status::Refused if !resolved => self.refused(index, outcome, &execution),
            message::Status::Failed if !resolved => {
                let why = trouble(&execution.step, outcome);
                self.not_executed(index, StepStatus::Failed, why, &execution);
            }
            status => {
                // Resolved, or voided by somebody: it did not run and never will.
                let status = match status {
                    message::Status::Refused => StepStatus::Refused,
                    message::Status::Failed => StepStatus::Failed,
                    _ => StepStatus::Voided,
                };
                let why = self
                    .run
                    .error
                    .clone()
                    .unwrap_or_else(|| trouble(&execution.step, outcome));
                self.give_up(index, status, why);
            }
        }
    }

    fn due(&mut self, unsent: Option<DateTime<Utc>>) {
        let Some(execution) = self.run.execution.clone() else {
            self.row.due_at = None;
            return;
        };
        let Some(index) = self.index(&execution.step) else {
            return self.unknown_step(&execution.step);
        };
        let waits = execution.waiting != Waiting::Local && execution.attempt > 0;
        if execution.undo {
            if !(waits && self.held(index, unsent)) {
                self.undo_again(index, &execution);
            }
            return;
        }
        let late =
            self.run.deadline_at.is_some_and(|at| at <= self.env.now) && !self.past_pivot(index);
        if late && execution.waiting != Waiting::Void {
            self.note("deadline", None);
            let why = plain("deadline", &execution.step, "the saga's deadline passed");
            return match execution.waiting {
                Waiting::Reply if execution.changes && execution.attempt > 0 => self.resolve(why),
                _ => self.give_up(index, StepStatus::Failed, why),
            };
        }
        if waits && self.held(index, unsent) {
            return;
        }
        match execution.waiting {
            Waiting::Local => self.row.due_at = Some(self.env.now),
            Waiting::Void => self.void_again(&execution),
            Waiting::Reply if execution.attempt == 0 => {
                self.send(
                    index,
                    Execution {
                        attempt: 1,
                        ..execution
                    },
                );
            }
            Waiting::Reply => {
                self.note("timed out", None);
                if execution.attempt <= self.steps[index].retry || self.past_pivot(index) {
                    return self.send_again(index, execution);
                }
                let text = format!("no answer after {} attempts", execution.attempt);
                let why = plain("timed_out", &execution.step, &text);
                if execution.changes {
                    self.resolve(why)
                } else {
                    self.give_up(index, StepStatus::Failed, why)
                }
            }
        }
    }

    fn local(&mut self, outcome: LocalOutcome) {
        let Some(execution) = self.run.execution.clone() else {
            return;
        };
        let Some(index) = self.index(&execution.step) else {
            return self.unknown_step(&execution.step);
        };
        if let Some(step) = self.run.step(&execution.step) {
            if execution.undo {
                step.compensations += 1
            } else {
                step.attempts += 1
            }
        }
        let why = match outcome.end {
            StepEnd::Done => {
                self.run.state = outcome.state;
                self.note("ran", None);
                return if execution.undo {
                    self.undone(index)
                } else {
                    self.done(index)
                };
            }
            StepEnd::Refused(refused) => Trouble {
                kind: "refused".to_owned(),
                step: execution.step.clone(),
                text: refused.text,
                error: refused.body.decode().ok(),
            },
            StepEnd::Failed(failure) => {
                let text = failure.public();
                let why = plain("failed", &execution.step, &text);
                let again = self.steps[index].retry.max(LOCAL_RETRIES);
                let passing = failure.kind().is_retryable() && execution.attempt <= again;
                if passing && !execution.undo {
                    self.note("failed", Payload::encode(&why).ok().as_ref());
                    return self.local_again(execution, why);
                }
                why
            }
        };
        self.note("failed", Payload::encode(&why).ok().as_ref());
        let status = if why.kind == "refused" {
            StepStatus::Refused
        } else {
            StepStatus::Failed
        };
        if execution.undo {
            self.undo_failed(index, &why)
        } else {
            self.give_up(index, status, why)
        }
    }

    fn end(&mut self, status: Status) {
        self.row.status = status.as_str().to_owned();
        self.row.due_at = None;
        self.note(status.as_str(), None);
    }

    fn stuck(&mut self, why: Trouble) {
        let detail = Payload::encode(&why).ok();
        if let Some(step) = self.run.step(&why.step.clone()) {
            step.status = StepStatus::Stuck;
            step.error = Some(why.clone());
        }
        self.run.error = Some(why);
        self.row.status = Status::Stuck.as_str().to_owned();
        self.row.due_at = None;
        self.note("stuck", detail.as_ref());
    }

    fn unknown_step(&mut self, step: &str) {
        let text = format!(
            "the saga was started as `{}`; its definition no longer has the step `{step}`",
            self.run.definition
        );
        self.stuck(plain("failed", step, &text));
    }

    fn index(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|s| s.name == step)
    }

    /// Whether a pivot stands before this step: then there is only forward.
    fn past_pivot(&self, index: usize) -> bool {
        self.steps[..index.min(self.steps.len())]
            .iter()
            .any(|s| s.pivot)
    }

    fn mark(&mut self, index: usize, status: StepStatus, error: Option<Trouble>) {
        let (name, now) = (self.steps[index].name, self.env.now);
        if let Some(step) = self.run.step(name) {
            step.status = status;
            step.ended_at = Some(now);
            if error.is_some() {
                step.error = error;
            }
        }
    }

    /// The deadline may be due earlier than the attempt; compensations have none.
    fn bounded(&self, at: DateTime<Utc>, undo: bool, index: usize) -> DateTime<Utc> {
        match self.run.deadline_at {
            Some(deadline) if !undo && !self.past_pivot(index) && deadline > self.env.now => {
                at.min(deadline)
            }
            _ => at,
        }
    }

    /// The pause before a repetition: from 100 ms, doubled each time up to about a minute, jittered.
    fn pause(&self, repetition: u32) -> Duration {
        if repetition == 0 {
            return Duration::ZERO;
        }
        let most = Duration::from_millis(100 << (repetition - 1).min(9));
        most.mul_f64(0.5 + self.env.clock.chance() / 2.0)
    }

    fn message(&mut self, kind: message::Kind, name: &str, command: Uuid, payload: Payload) {
        let source = self.env.headers.source.clone();
        self.messages.push(Message {
            id: self.env.clock.new_uuid(),
            kind,
            topic: name.to_owned(),
            name: name.to_owned(),
            // One key for all of one saga: a void comes after its command.
            key: self.row.id.to_string(),
            at: self.env.now,
            headers: Headers {
                correlation: self.run.correlation,
                causation: self.env.headers.causation,
                user: self.run.user,
                reply_to: Some(replies_topic(&source)),
                saga: Some(self.row.id),
                command: Some(command),
                source,
                traceparent: self.run.traceparent.clone(),
                ..Headers::default()
            },
            payload,
        });
    }

    fn note(&mut self, what: &str, detail: Option<&Payload>) {
        let execution = self.run.execution.as_ref();
        let entry = Entry {
            at: self.env.now,
            what,
            step: execution.map(|e| e.step.as_str()),
            compensation: execution.is_some_and(|e| e.undo),
            command: execution.map(|e| e.command),
            attempt: execution.map(|e| e.attempt),
            took: execution
                .map(|e| (self.env.now - e.since).num_milliseconds())
                .filter(|ms| *ms > 0),
            detail,
        };
        if let Ok(entry) = Payload::encode(&entry) {
            self.history.push(entry);
        }
    }
}

fn plain(kind: &str, step: &str, text: &str) -> Trouble {
    Trouble {
        kind: kind.to_owned(),
        step: step.to_owned(),
        text: text.to_owned(),
        error: None,
    }
}

fn trouble(step: &str, outcome: &Outcome) -> Trouble {
    let (kind, text) = match outcome.status {
        message::Status::Refused => ("refused", "the participant refused"),
        message::Status::Failed => ("failed", "the participant could not do it"),
        message::Status::Voided => ("voided", "it was called off"),
        message::Status::Done => ("done", "it was done"),
    };
    Trouble {
        error: outcome.payload.decode().ok(),
        ..plain(kind, step, text)
    }
}
