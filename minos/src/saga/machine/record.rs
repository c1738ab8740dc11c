//! What is noted of a saga, and what goes wrong in words.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{By, Machine};
use crate::{
    error::Result,
    message::{self, Outcome},
    payload::Payload,
    saga::run::{Execution, Trouble},
};

/// As long as a saga has moved no more often, its history is kept line by line.
const FIRST: u64 = 500;
/// How many lines are kept after that: the last ones, in its row.
const LAST: usize = 100;
/// The longest part of such a line, in bytes: the row is read and written as a whole.
const PART: usize = 512;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn new(at: DateTime<Utc>, what: &'a str) -> Self {
        Self {
            at,
            what,
            step: None,
            compensation: false,
            command: None,
            attempt: None,
            took: None,
            detail: None,
            by: None,
            why: None,
        }
    }
}

impl Machine<'_> {
    /// Notes something of the saga as a whole.
    pub(super) fn note(&mut self, what: &str, detail: Option<&Payload>) {
        let entry = Entry {
            detail,
            ..Entry::new(self.env.now, what)
        };
        self.line(Payload::encode(&entry));
    }

    /// Notes something of an execution.
    pub(super) fn note_of(&mut self, what: &str, of: &Execution, detail: Option<&Payload>) {
        let took = (self.env.now - of.since).num_milliseconds();
        let entry = Entry {
            step: Some(&of.step),
            compensation: of.undo,
            command: Some(of.command),
            attempt: Some(of.attempt),
            took: Some(took).filter(|ms| *ms > 0),
            detail,
            ..Entry::new(self.env.now, what)
        };
        self.line(Payload::encode(&entry));
    }

    /// Notes something of a step that has no execution.
    pub(super) fn note_step(&mut self, what: &str, step: &str) {
        let entry = Entry {
            step: Some(step),
            ..Entry::new(self.env.now, what)
        };
        self.line(Payload::encode(&entry));
    }

    /// Notes what somebody decided.
    pub(super) fn note_decision(&mut self, what: &str, step: Option<&str>, decision: By<'_>) {
        let entry = Entry {
            step,
            by: Some(decision.who),
            why: Some(decision.why),
            ..Entry::new(self.env.now, what)
        };
        self.line(Payload::encode(&entry));
    }

    /// Bounds the history: one may wait for years, or be retried by a machine. What it began with is kept for good, then
    /// its last lines; those in between are counted.
    pub(super) fn bound(&mut self) {
        if self.row.version < FIRST {
            return;
        }
        let latest = &mut self.run.latest;
        latest.extend(self.history.drain(..).map(|line| shortened(&line)));
        let over = latest.len().saturating_sub(LAST);
        latest.drain(..over);
        self.run.left_out += u64::try_from(over).unwrap_or(u64::MAX);
    }

    fn line(&mut self, entry: Result<Payload>) {
        self.history.extend(entry.ok());
    }
}

/// A line whose long parts are left out.
fn shortened(line: &Payload) -> Payload {
    let short = |part: Payload| match part.as_str().len() {
        ..=PART => Ok(part),
        long => Payload::encode(&format!("left out: {long} bytes")),
    };
    let all = line
        .decode::<BTreeMap<String, Payload>>()
        .and_then(|parts| {
            let parts = parts
                .into_iter()
                .map(|(name, part)| Ok((name, short(part)?)));
            Payload::encode(&parts.collect::<Result<BTreeMap<_, _>>>()?)
        });
    all.unwrap_or_else(|_| Payload::null())
}

pub(super) fn plain(kind: &str, step: &str, text: &str) -> Trouble {
    Trouble {
        kind: kind.to_owned(),
        step: step.to_owned(),
        text: text.to_owned(),
        error: None,
    }
}

pub(super) fn trouble(step: &str, outcome: &Outcome) -> Trouble {
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
