//! Executions: how they begin, are sent again, and how long they may take.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Machine, PERSISTENCE, TIMEOUT, record::plain};
use crate::{
    message::{self, Headers, Message, replies_topic},
    payload::Payload,
    saga::{
        TargetKind,
        flow::What,
        run::{Execution, StepStatus, Trouble, Waiting},
    },
};

/// How often a saga that was called off is asked for its end, at least.
const OFTEN_ENOUGH: Duration = Duration::from_secs(3600);

/// The longest pause that can be asked for.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl Machine<'_> {
    pub(super) fn take(&mut self, command: Uuid) -> Option<Execution> {
        let all = &mut self.run.executions;
        let place = all.iter().position(|e| e.command == command)?;
        Some(all.remove(place))
    }

    pub(super) fn keep(&mut self, execution: Execution) {
        let all = &mut self.run.executions;
        let place = all.partition_point(|e| e.command < execution.command);
        all.insert(place, execution);
    }

    /// A new execution of a step, or of its compensation, under a new command id; `before` were before it.
    pub(super) fn execute(&mut self, index: usize, undo: bool, before: u32) {
        let step = self.steps[index];
        let what = self.what(index, undo);
        let mut execution = Execution {
            command: self.env.clock.new_uuid(),
            step: step.name.to_owned(),
            undo,
            attempt: 1,
            before,
            waiting: Waiting::Reply,
            changes: true,
            since: self.env.now,
            due_at: None,
            target: None,
            why: None,
            paused: false,
            sent_at: None,
            held: false,
            answer: None,
        };
        let later = self.env.now + self.pause(index, undo, before);
        match what {
            What::Local => {
                execution.waiting = Waiting::Local;
                execution.due_at = Some(later);
                self.keep(execution);
            }
            What::Wait(signal) => {
                execution.waiting = Waiting::Signal;
                execution.changes = false;
                execution.target = Some(signal.to_owned());
                execution.due_at = step.timeout.map(|t| self.env.now + t);
                self.wait(index, execution);
            }
            What::Remote(target) => {
                execution.target = Some(target.name.to_owned());
                if before == 0 {
                    return self.send(index, execution);
                }
                // A repetition waits: `due` sends it.
                execution.attempt = 0;
                execution.due_at = Some(later);
                self.keep(execution);
            }
        }
    }

    /// Sends the command of an execution.
    pub(super) fn send(&mut self, index: usize, mut execution: Execution) {
        let step = self.steps[index];
        let outgoing = match self.flow.request(index, execution.undo, &self.run.state) {
            Ok(outgoing) => outgoing,
            Err(e) => {
                let text = format!("the message cannot be made: {e}");
                let why = plain("failed", step.name, &text);
                // Whether an earlier attempt ran is not known, or there is only forward: somebody must look.
                if execution.undo || execution.attempt > 1 || self.past_pivot(index) {
                    self.keep(execution);
                    return self.stuck(why);
                }
                return self.give_up(index, &execution, StepStatus::Failed, why);
            }
        };
        execution.changes = outgoing.kind.changes();
        execution.sent_at = Some(self.env.now);
        (execution.held, execution.paused) = (false, false);
        let kind = match outgoing.kind {
            TargetKind::Query => message::Kind::Query,
            TargetKind::Command => message::Kind::Command,
            TargetKind::Saga => return self.begin_child(index, execution, outgoing),
        };
        self.message(kind, outgoing.name, execution.command, outgoing.payload);
        self.tried(&execution);
        let wait = self.time_to_answer(index, &execution);
        // Without a pause of its own a step is given more time with each attempt.
        let more = match step.backoff {
            None if execution.attempt > 1 => self.pause(index, true, execution.attempt - 1),
            _ => Duration::ZERO,
        };
        execution.due_at = Some(self.env.now + wait + more);
        self.note_of("sent", &execution, None);
        self.keep(execution);
    }

    /// Counts an attempt.
    pub(super) fn tried(&mut self, execution: &Execution) {
        if let Some(run) = self.run.step(&execution.step) {
            match execution.undo {
                true => run.compensations += 1,
                false => run.attempts += 1,
            }
        }
    }

    /// An attempt that has not left cannot be answered, and another one would not come sooner: the time to answer
    /// begins when it has left. `false` if it left and had that time.
    pub(super) fn held(
        &mut self,
        index: usize,
        execution: &mut Execution,
        unsent: Option<DateTime<Utc>>,
    ) -> bool {
        let stays = match (execution.sent_at, unsent) {
            (Some(sent), Some(oldest)) => oldest <= sent,
            _ => false,
        };
        if !stays && !execution.held {
            return false;
        }
        if stays && !execution.held {
            self.note_of("not sent yet", execution, None);
        }
        execution.held = stays;
        execution.due_at = Some(self.env.now + self.time_to_answer(index, execution));
        true
    }

    /// How long an answer may take before it is asked for again.
    pub(super) fn time_to_answer(&self, index: usize, execution: &Execution) -> Duration {
        // The timeout of a saga is its own: it may take days, and be called off in vain if the question is lost.
        if execution.waiting == Waiting::Void && self.nested(index, false) {
            let doubled = execution.attempt.saturating_sub(1).min(20);
            return TIMEOUT.saturating_mul(1 << doubled).min(OFTEN_ENOUGH);
        }
        self.steps[index].timeout.unwrap_or(TIMEOUT)
    }

    /// Nobody answered an attempt: the same execution again.
    pub(super) fn send_again(&mut self, index: usize, mut execution: Execution) {
        let step = self.steps[index];
        if execution.attempt > step.retry.max(PERSISTENCE) {
            let text = format!("no answer after {} attempts", execution.attempt);
            let why = plain("timed_out", &execution.step, &text);
            self.keep(execution);
            return self.stuck(why);
        }
        if step.backoff.is_some() && !execution.undo {
            // A late answer is taken all the same.
            execution.paused = true;
            let pause = self.pause(index, false, execution.attempt);
            execution.due_at = Some(self.env.now + pause);
            return self.keep(execution);
        }
        execution.attempt += 1;
        self.send(index, execution);
    }

    pub(super) fn local_again(&mut self, index: usize, mut execution: Execution, why: Trouble) {
        let pause = self.pause(index, execution.undo, execution.attempt);
        execution.due_at = Some(self.env.now + pause);
        execution.attempt += 1;
        if let Some(step) = self.run.step(&execution.step) {
            step.error = Some(why);
        }
        self.keep(execution);
    }

    /// The pause before a repetition. A step that says how long: from `backoff`, doubled each time up to
    /// `max_backoff`, and up to a tenth longer, so that those that began together do not come together. Otherwise from
    /// 100 ms, doubled each time up to about a minute, jittered by half.
    pub(super) fn pause(&self, index: usize, undo: bool, repetition: u32) -> Duration {
        let Some(doubled) = repetition.checked_sub(1) else {
            return Duration::ZERO;
        };
        let step = &self.steps[index];
        let chance = self.env.clock.chance();
        match step.backoff.filter(|_| !undo) {
            Some(first) => {
                let full = first.saturating_mul(1 << doubled.min(20)).min(LONGEST);
                let most = step.max_backoff.unwrap_or(LONGEST);
                full.mul_f64(1.0 + chance / 10.0).min(most)
            }
            None => Duration::from_millis(100 << doubled.min(9)).mul_f64(0.5 + chance / 2.0),
        }
    }

    pub(super) fn message(
        &mut self,
        kind: message::Kind,
        name: &str,
        command: Uuid,
        payload: Payload,
    ) {
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
                reply_to: Some(replies_topic(&source)),
                saga: Some(self.row.id),
                command: Some(command),
                ..self.headers()
            },
            payload,
        });
    }

    /// What everything that leaves this saga has in common.
    pub(super) fn headers(&self) -> Headers {
        Headers {
            source: self.env.headers.source.clone(),
            correlation: self.run.correlation,
            causation: self.env.headers.causation,
            user: self.run.user,
            traceparent: self.run.traceparent.clone(),
            ..Headers::default()
        }
    }
}
