//! What a start, an answer, or the time means for a saga: a pure function from row to row.
//!
//! Rules (the names are those of the field's literature, see Garcia-Molina and Salem, "Sagas", 1987):
//! - One command id per *execution* of a step, shared by all its attempts; answers match it. Only a definite "not
//!   executed" (refused, failed, voided) allows a new execution with a new id.
//! - A step whose outcome is unknown is resolved before anything is undone: the participant is asked to void the
//!   command and answers what became of it.
//! - Compensations run in reverse, are awaited and retried; one that cannot succeed leaves the saga stuck.
//! - After the pivot there is only forward: what fails is tried again, then the saga is stuck.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    TargetKind,
    flow::{Compensation, Flow, LocalOutcome, StepEnd, StepInfo},
    run::{Execution, Run, Status, StepRun, StepStatus, Trouble, Waiting},
};
use crate::{
    clock::Clock,
    error::Result,
    message::{self, Headers, Message, Outcome, replies_topic},
    payload::Payload,
    saga::Verdict,
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
    /// `source` is the service; user and correlation are those of the starter.
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

/// The saga is due: a timeout, a deadline, or a pause is over.
pub(crate) fn due(flow: &dyn Flow, row: SagaRow, env: &Env<'_>) -> Result<Moved> {
    let mut machine = Machine::of(flow, row, env)?;
    machine.due();
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

/// Names and kinds of the steps: a run that was started under another definition is looked at with care.
fn definition(steps: &[StepInfo]) -> String {
    let step = |s: &StepInfo| format!("{}{}", s.name, if s.local { ":local" } else { "" });
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

    // ---- inputs

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

    fn due(&mut self) {
        let Some(execution) = self.run.execution.clone() else {
            self.row.due_at = None;
            return;
        };
        let Some(index) = self.index(&execution.step) else {
            return self.unknown_step(&execution.step);
        };
        if execution.undo {
            return self.undo_again(index, &execution);
        }
        let late =
            self.run.deadline_at.is_some_and(|at| at <= self.env.now) && !self.past_pivot(index);
        if late && execution.waiting != Waiting::Void {
            self.note("deadline", None);
            let why = plain("deadline", &execution.step, "the saga's deadline passed");
            return match execution.waiting {
                Waiting::Reply if execution.changes => self.resolve(why),
                _ => self.give_up(index, StepStatus::Failed, why),
            };
        }
        match execution.waiting {
            Waiting::Local => self.row.due_at = Some(self.env.now),
            Waiting::Void => self.void_again(&execution),
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
                let text = failure.to_string();
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

    // ---- forward

    /// Begins the step at `index`; past the last one the saga is complete.
    fn enter(&mut self, index: usize) {
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
    fn execute(&mut self, index: usize, undo: bool, before: u32) {
        let step = self.steps[index];
        let local = if undo {
            step.compensation == Some(Compensation::Local)
        } else {
            step.local
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
        };
        self.run.execution = Some(execution.clone());
        if local {
            self.row.due_at = Some(self.env.now + self.pause(before));
            return;
        }
        self.send(index, execution);
    }

    /// Sends the command of an execution.
    fn send(&mut self, index: usize, mut execution: Execution) {
        let step = self.steps[index];
        let outgoing = match self.flow.request(index, execution.undo, &self.run.state) {
            Ok(outgoing) => outgoing,
            Err(e) => {
                let why = plain(
                    "failed",
                    step.name,
                    &format!("the message cannot be made: {e}"),
                );
                self.run.execution = None;
                return if execution.undo {
                    self.stuck(why)
                } else {
                    self.give_up(index, StepStatus::Failed, why)
                };
            }
        };
        let kind = match outgoing.kind {
            TargetKind::Query => message::Kind::Query,
            TargetKind::Command | TargetKind::Saga => message::Kind::Command,
        };
        execution.changes = outgoing.kind.changes();
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

    fn send_again(&mut self, index: usize, mut execution: Execution) {
        if execution.attempt > self.steps[index].retry.max(PERSISTENCE) {
            let text = format!("no answer after {} attempts", execution.attempt);
            return self.stuck(plain("timed_out", &execution.step, &text));
        }
        execution.attempt += 1;
        self.send(index, execution);
    }

    fn local_again(&mut self, mut execution: Execution, why: Trouble) {
        self.row.due_at = Some(self.env.now + self.pause(execution.attempt));
        execution.attempt += 1;
        if let Some(step) = self.run.step(&execution.step) {
            step.error = Some(why);
        }
        self.run.execution = Some(execution);
    }

    /// The participant did it. `resolved`: this was asked only to know what to undo.
    fn succeeded(&mut self, index: usize, outcome: &Outcome, resolved: bool) {
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
        let before = self.run.execution.as_ref().map_or(0, |e| e.before);
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
            Verdict::Retry if before < self.steps[index].retry => {
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

    fn refused(&mut self, index: usize, outcome: &Outcome, execution: &Execution) {
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
    fn not_executed(
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

    fn done(&mut self, index: usize) {
        self.mark(index, StepStatus::Done, None);
        self.enter(index + 1);
    }

    /// The step did nothing and will not: undo those before it - or, after the pivot, insist.
    fn give_up(&mut self, index: usize, status: StepStatus, why: Trouble) {
        if self.past_pivot(index) {
            let before = self
                .run
                .execution
                .as_ref()
                .map_or(0, |e| e.before.max(e.attempt - 1));
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

    // ---- unknown outcomes

    /// Asks the participant to void the command and to say what became of it.
    fn resolve(&mut self, why: Trouble) {
        self.run.error = Some(why);
        let Some(mut execution) = self.run.execution.clone() else {
            return;
        };
        execution.waiting = Waiting::Void;
        execution.attempt = 1;
        self.run.execution = Some(execution.clone());
        self.send_void(&execution);
    }

    fn void_again(&mut self, execution: &Execution) {
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

    fn send_void(&mut self, execution: &Execution) {
        let Some(index) = self.index(&execution.step) else {
            return self.unknown_step(&execution.step);
        };
        match self.flow.request(index, false, &self.run.state) {
            Ok(outgoing) => {
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

    // ---- backward

    /// Undoes what is done, from the step at `from` down.
    fn compensate(&mut self, from: usize, why: Trouble) {
        if self.past_pivot(from + 1) {
            return self.stuck(why);
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

    fn undone(&mut self, index: usize) {
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
    fn undo_failed(&mut self, index: usize, why: &Trouble) {
        let before = self.run.execution.as_ref().map_or(0, |e| e.before);
        if let Some(step) = self.run.step(self.steps[index].name) {
            step.error = Some(why.clone());
        }
        if before + 1 >= PERSISTENCE {
            return self.stuck(why.clone());
        }
        let step = self.steps[index];
        if step.compensation == Some(Compensation::Local) {
            return self.execute(index, true, before + 1);
        }
        // Wait before the next execution is sent: `due` sends it.
        let pause = self.pause(before + 1);
        if let Some(execution) = &mut self.run.execution {
            execution.command = self.env.clock.new_uuid();
            execution.before = before + 1;
            execution.attempt = 0;
        }
        self.row.due_at = Some(self.env.now + pause);
    }

    /// A compensation was not answered in time (or its pause is over): the same execution again.
    fn undo_again(&mut self, index: usize, execution: &Execution) {
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

    // ---- ends

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

    // ---- helpers

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
