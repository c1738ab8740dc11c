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
    saga::run::{Execution, Stored, Trouble},
    store::SagaRow,
};

/// As long as a saga has moved no more often, its history is kept line by line.
const FIRST: u64 = 500;
/// How many lines are kept after that: the last ones, in its row.
const LAST: usize = 100;
/// The longest part of such a line, in bytes: the row is read and written as a whole.
const PART: usize = 512;

/// The fields of a row's body in which they are, and in which those are counted that are left out.
const LATEST: &str = "latest";
const LEFT_OUT: &str = "left_out";

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

    /// Bounds the history: one may wait for years. What it began with is kept for good, and what somebody decided; of
    /// the rest there are the last lines, and those in between are counted.
    pub(super) fn bound(&mut self) {
        if !moved_often(&self.row) {
            return;
        }
        let lines = std::mem::take(&mut self.history);
        let (decided, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_decision);
        self.history = decided;
        self.run.left_out += keep_last(&mut self.run.latest, &others);
    }

    fn line(&mut self, entry: Result<Payload>) {
        self.history.extend(entry.ok());
    }
}

/// Whether no more lines are kept beside a row.
pub(super) fn moved_often(row: &SagaRow) -> bool {
    row.version >= FIRST
}

/// The body of a row with one more line in it, whatever else it says.
pub(super) fn with_line(row: &SagaRow, line: &Payload) -> Result<Payload> {
    let mut stored = Stored::of(row)?;
    let mut latest = stored.get(LATEST).unwrap_or_default();
    let left_out: u64 = stored.get(LEFT_OUT).unwrap_or_default();
    let over = keep_last(&mut latest, std::slice::from_ref(line));
    stored.put(LATEST, &latest)?;
    stored.put(LEFT_OUT, &(left_out + over))?;
    stored.body()
}

/// The history of a saga, as far as it is kept, in the order of time: `beside` its row, and in it.
pub(crate) fn whole(mut beside: Vec<Payload>, row: &SagaRow) -> Vec<Payload> {
    let stored = Stored::of(row).unwrap_or_default();
    let latest: Vec<Payload> = stored.get(LATEST).unwrap_or_default();
    let Some(first) = latest.first().map(noted_at) else {
        return beside;
    };
    // What was decided since is among the last lines.
    let since = beside.partition_point(|line| noted_at(line) < first);
    let mut last = beside.split_off(since);
    last.extend(latest);
    last.sort_by_cached_key(noted_at);
    if let Some(lines) = stored.get::<u64>(LEFT_OUT).filter(|lines| *lines > 0) {
        let gap = serde_json::json!({ "what": "left out", "lines": lines });
        beside.push(Payload::from_text(gap.to_string()));
    }
    beside.extend(last);
    beside
}

/// When a line was noted.
fn noted_at(line: &Payload) -> Option<DateTime<Utc>> {
    let parts: BTreeMap<String, Payload> = line.decode().ok()?;
    parts.get("at")?.decode().ok()
}

/// Whether a line says what somebody decided. That is rare, and asked for long after.
fn is_decision(line: &Payload) -> bool {
    let parts = line.decode::<BTreeMap<String, Payload>>();
    parts.is_ok_and(|parts| parts.contains_key("by"))
}

/// Adds lines to the last ones; answers how many of these were left out for them.
fn keep_last(latest: &mut Vec<Payload>, lines: &[Payload]) -> u64 {
    latest.extend(lines.iter().map(shortened));
    let over = latest.len().saturating_sub(LAST);
    latest.drain(..over);
    u64::try_from(over).unwrap_or(u64::MAX)
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
