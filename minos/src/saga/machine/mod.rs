//! What a start, an answer, or the time means for a saga: a pure function from row to row.
//!
//! Rules (the names are those of the field's literature, see Garcia-Molina and Salem, "Sagas", 1987):
//! - One command id per *execution* of a step, shared by all its attempts; answers match it. Only a definite "not
//!   executed" (refused, failed, voided) allows a new execution with a new id.
//! - A step whose outcome is unknown is resolved before anything is undone: the participant is asked to void the
//!   command and answers what became of it.
//! - Compensations run in reverse, are awaited and retried; one that cannot succeed leaves the saga stuck.
//! - After the pivot there is only forward: what fails is tried again, then the saga is stuck.
//! - The steps of a parallel group run, and are undone, at once; the group is joined before anything else happens.

mod attempt;
mod backward;
mod course;
mod definition;
mod forward;
mod local;
mod mail;
mod nested;
mod operate;
mod record;
mod signal;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

pub(crate) use self::{
    local::{Due, local_step},
    mail::{Posted, post, told},
    operate::Wish,
    record::whole,
};
use super::{
    ENDED,
    flow::{Flow, LocalOutcome, StepInfo},
    run::{Execution, Halt, Parent, Run, Status, Stored},
};
use crate::{
    clock::{Clock, micros},
    error::Result,
    message::{self, Headers, Message, Outcome},
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
    /// The process that moves it.
    pub(crate) owner: Uuid,
    /// The sagas that may be started as steps.
    pub(crate) sagas: &'a BTreeMap<&'static str, Arc<dyn Flow>>,
}

/// Who decides, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) who: &'a str,
    pub(crate) why: &'a str,
}

/// The result of a transition: to be committed in one unit of work.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) row: SagaRow,
    pub(crate) history: Vec<Payload>,
    pub(crate) messages: Vec<Message>,
    /// The sagas that were started as steps, with their history.
    pub(crate) children: Vec<(SagaRow, Vec<Payload>)>,
    /// It met a step that this build does not have: another one may.
    pub(crate) misfit: bool,
    /// Its next step runs here, and now.
    pub(crate) goes_on: bool,
}

impl Moved {
    /// Nothing but the row.
    fn only(row: SagaRow, history: Vec<Payload>) -> Self {
        Self {
            row,
            history,
            messages: Vec::new(),
            children: Vec::new(),
            misfit: false,
            goes_on: false,
        }
    }
}

/// Starts a saga: its first steps are sent or due.
pub(crate) fn start(flow: &dyn Flow, id: Uuid, state: Payload, env: &Env<'_>) -> Result<Moved> {
    start_as(flow, id, state, None, env)
}

/// Starts a saga, perhaps as a step of another one.
fn start_as(
    flow: &dyn Flow,
    id: Uuid,
    state: Payload,
    parent: Option<Parent>,
    env: &Env<'_>,
) -> Result<Moved> {
    let steps = flow.steps();
    let mut run = Run::new(state, definition::definition(&steps));
    run.parent = parent;
    run.deadline_at = flow.deadline().map(|d| env.now + d);
    run.user = env.headers.user;
    run.correlation = env.headers.correlation;
    run.traceparent = env.headers.traceparent.clone();
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
        children: Vec::new(),
        ended: None,
        misfit: false,
    };
    machine.note("started", None);
    machine.advance();
    machine.finish()
}

/// An answer came. A late, duplicate, or foreign one only leaves a line in the history.
#[cfg(test)]
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
    let mut machine = Machine::up_to_date(flow, row, env)?;
    machine.due(unsent);
    machine.finish()
}

/// A local step, or a local compensation, ran.
pub(crate) fn local(
    flow: &dyn Flow,
    row: SagaRow,
    command: Uuid,
    outcome: LocalOutcome,
    env: &Env<'_>,
) -> Result<Moved> {
    let mut machine = Machine::of(flow, row, env)?;
    machine.local(command, outcome);
    machine.finish()
}

/// A signal came, perhaps from an operator; whether anybody waits for it, too.
///
/// # Errors
/// [`Invalid`](crate::error::Kind::Invalid) if an operator's cannot be read; another one only leaves a line in the
/// history, as nobody waits to hear of it.
pub(crate) fn signal(
    flow: &dyn Flow,
    row: SagaRow,
    (name, content): (&str, &Payload),
    by: Option<By<'_>>,
    env: &Env<'_>,
) -> Result<(Moved, bool)> {
    let mut machine = Machine::up_to_date(flow, row, env)?;
    if let Some(by) = by {
        machine.readable(name, content)?;
        machine.note_decision(&format!("signal `{name}`"), None, by);
    }
    let taken = machine.signal(name, content);
    Ok((machine.finish()?, taken))
}

/// The saga that started this one calls it off.
#[cfg(test)]
pub(crate) fn call_off(flow: &dyn Flow, row: SagaRow, env: &Env<'_>) -> Result<Moved> {
    let mut machine = Machine::of(flow, row, env)?;
    machine.called_off();
    machine.finish()
}

/// An operator decided.
///
/// # Errors
/// [`Conflict`](crate::error::Kind::Conflict) if the saga does not stand where that is possible.
pub(crate) fn operate(
    flow: &dyn Flow,
    row: SagaRow,
    wish: Wish<'_>,
    by: By<'_>,
    env: &Env<'_>,
) -> Result<Moved> {
    let mut machine = Machine::up_to_date(flow, row, env)?;
    machine.operate(wish, by)?;
    machine.finish()
}

/// The saga cannot be moved by this service: it is stuck as it stands. One that has ended stays as it is.
pub(crate) fn abandon(mut row: SagaRow, why: &str, now: DateTime<Utc>) -> Moved {
    let often = record::moved_often(&row);
    row.version += 1;
    row.due_at = None;
    let status = Status::of(&row);
    let ended = ENDED.contains(&row.status.as_str());
    if !ended {
        if let Some(from) = status.filter(|s| *s != Status::Stuck) {
            let why = record::plain("failed", &row.name, why);
            // What is no JSON object can be kept, but nothing can be noted in it.
            row.body = halted(&row, &Halt { from, why }).unwrap_or(row.body);
        }
        row.status = Status::Stuck.as_str().to_owned();
        row.updated_at = now;
    }
    let what = if ended { "not moved" } else { "stuck" };
    let entry = serde_json::json!({ "at": now, "what": what, "detail": why });
    let line = Payload::from_text(entry.to_string());
    if often && let Ok(body) = record::with_line(&row, &line) {
        row.body = body;
        return Moved::only(row, Vec::new());
    }
    Moved::only(row, vec![line])
}

/// A body that says why its saga is stuck, whatever else it says.
fn halted(row: &SagaRow, halt: &Halt) -> Result<Payload> {
    let mut stored = Stored::of(row)?;
    stored.put("halt", halt)?;
    stored.body()
}

struct Machine<'a> {
    flow: &'a dyn Flow,
    steps: Vec<StepInfo>,
    row: SagaRow,
    run: Run,
    env: &'a Env<'a>,
    history: Vec<Payload>,
    messages: Vec<Message>,
    children: Vec<(SagaRow, Vec<Payload>)>,
    /// When it had ended before this.
    ended: Option<DateTime<Utc>>,
    /// It met a step that this build does not have.
    misfit: bool,
}

impl<'a> Machine<'a> {
    fn of(flow: &'a dyn Flow, row: SagaRow, env: &'a Env<'a>) -> Result<Self> {
        let mut run = Run::of(&row)?;
        let ended = ENDED.contains(&row.status.as_str());
        if Status::of(&row) == Some(Status::Stuck) && run.halt.is_none() {
            run.halt = Some(course::unsaid(&row, &mut run));
        }
        Ok(Self {
            ended: ended.then_some(row.updated_at),
            steps: flow.steps(),
            flow,
            row,
            run,
            env,
            history: Vec::new(),
            messages: Vec::new(),
            children: Vec::new(),
            misfit: false,
        })
    }

    fn finish(mut self) -> Result<Moved> {
        let definition = definition::definition(&self.steps);
        // One that is stuck because of it shows what it was started as.
        if definition != self.run.definition && !self.is(Status::Stuck) {
            if definition::comparable(&self.run.definition) {
                let before = Payload::encode(&self.run.definition).ok();
                self.note("goes on with another definition", before.as_ref());
            }
            self.run.definition = definition;
        }
        self.bound();
        self.run.owner = Some(self.env.owner);
        self.row.due_at = self.next_due();
        let due = self.row.due_at.is_some_and(|at| at <= self.env.now);
        let goes_on = due && local_step(self.flow, &self.run, self.env.now).is_some();
        self.row.version += 1;
        // What comes after the end is noted, and does not keep it from being forgotten.
        self.row.updated_at = self.ended.unwrap_or(self.env.now);
        self.row.body = self.run.body()?;
        Ok(Moved {
            row: self.row,
            history: self.history,
            messages: self.messages,
            children: self.children,
            misfit: self.misfit,
            goes_on,
        })
    }

    /// When somebody must look at it again.
    fn next_due(&self) -> Option<DateTime<Utc>> {
        if !self.is(Status::Running) && !self.is(Status::Compensating) {
            return None;
        }
        let executions = self.run.executions.iter().filter_map(|e| e.due_at);
        let due = executions.chain(self.deadline()).min()?;
        // Stores keep microseconds: rounded down it would be found before it is due, and moved in vain.
        let kept = micros(due);
        Some(match kept < due {
            true => kept + TimeDelta::microseconds(1),
            false => kept,
        })
    }

    /// The deadline of the whole, as long as it has one: what is undone has none, nor what is past its pivot.
    fn deadline(&self) -> Option<DateTime<Utc>> {
        let forward = self.last().is_some_and(|last| self.past_pivot(last));
        let bound = self.is(Status::Running) && !self.failing() && !forward;
        self.run.deadline_at.filter(|_| bound)
    }

    fn reply(&mut self, command: Uuid, outcome: &Outcome) {
        let detail = Payload::encode(outcome).ok();
        let Some(execution) = self.take(command) else {
            return self.note("ignored a late or foreign answer", detail.as_ref());
        };
        self.note_of("answered", &execution, detail.as_ref());
        let halt = self.wake(&execution.step);
        self.heard(execution, outcome);
        self.doze(halt);
        self.advance();
    }

    /// What an answer means for an execution. If it cannot be taken, it is kept with it: nobody gives it twice.
    fn heard(&mut self, mut execution: Execution, outcome: &Outcome) {
        execution.answer = Some(outcome.clone());
        let Some(index) = self.place(&execution) else {
            return self.keep(execution);
        };
        match (execution.undo, outcome.status) {
            (true, message::Status::Done) => self.undone(index),
            (true, _) => {
                let why = record::trouble(&execution.step, outcome);
                self.undo_failed(index, &execution, why);
            }
            (false, _) => self.answered(index, execution, outcome),
        }
    }

    fn due(&mut self, unsent: Option<DateTime<Utc>>) {
        if !self.is(Status::Running) && !self.is(Status::Compensating) {
            return;
        }
        if self.deadline().is_some_and(|at| at <= self.env.now) {
            self.note("deadline", None);
            let step = self.run.executions.first().map(|e| e.step.clone());
            let why = record::plain(
                "deadline",
                &step.unwrap_or_default(),
                "the saga's deadline passed",
            );
            self.run.error = Some(why);
            return self.advance();
        }
        let late = |at: DateTime<Utc>| at <= self.env.now;
        let executions = self.run.executions.iter();
        let late: Vec<Uuid> = executions
            .filter(|e| e.due_at.is_some_and(late))
            .map(|e| e.command)
            .collect();
        for command in late {
            if self.is(Status::Stuck) {
                break;
            }
            if let Some(execution) = self.take(command) {
                self.late(execution, unsent);
            }
        }
        self.advance();
    }
}
