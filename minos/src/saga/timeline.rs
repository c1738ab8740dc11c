//! A run as a person reads it: what each step took, and what is waited for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::run::{Execution, Run, StepRun, Waiting, none};

/// What became of the steps of a run, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Timeline {
    /// The steps that were reached, in their order.
    pub steps: Vec<Passage>,
    /// What is waited for now.
    pub waits: Vec<Wait>,
    /// Why it is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// How many lines its history lacks, between the first and the last ones: it moved very often.
    #[serde(skip_serializing_if = "none")]
    pub left_out: u64,
}

/// One step that was reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Passage {
    /// Its name.
    pub step: String,
    /// Such as `running`, `done`, `refused`, `skipped`, or `compensated`.
    pub status: String,
    /// How often it was sent or run.
    pub attempts: u32,
    /// How often its compensation was.
    pub compensations: u32,
    /// When it was reached.
    pub started_at: DateTime<Utc>,
    /// When it last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Milliseconds from its start to its end, or until now.
    pub took: i64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One thing that is waited for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Wait {
    /// For which step.
    pub step: String,
    /// Whether its compensation is meant.
    pub compensation: bool,
    /// `reply`, `void` (whether the command ran), `signal`, `local` (its turn), or `pause` (the next attempt).
    pub waits_for: String,
    /// Whose: the name of the command, the query, the saga, or the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The command id of the execution.
    pub command: Uuid,
    /// The attempt.
    pub attempt: u32,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it is looked at again; only an answer moves it without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Timeline {
    pub(crate) fn of(run: &Run, now: DateTime<Utc>) -> Self {
        Self {
            steps: run.steps.iter().map(|s| Passage::of(s, now)).collect(),
            waits: run.executions.iter().map(Wait::of).collect(),
            left_out: run.left_out,
            stuck: run.halt.as_ref().map(|h| h.why.text.clone()),
        }
    }
}

impl Passage {
    fn of(step: &StepRun, now: DateTime<Utc>) -> Self {
        let until = step.ended_at.unwrap_or(now);
        Self {
            step: step.name.clone(),
            status: step.status.as_str().to_owned(),
            attempts: step.attempts,
            compensations: step.compensations,
            started_at: step.started_at,
            ended_at: step.ended_at,
            took: (until - step.started_at).num_milliseconds().max(0),
            error: step.error.as_ref().map(|e| e.text.clone()),
        }
    }
}

impl Wait {
    fn of(execution: &Execution) -> Self {
        let waits_for = match execution.waiting {
            _ if execution.paused || execution.attempt == 0 => "pause",
            Waiting::Reply => "reply",
            Waiting::Void => "void",
            Waiting::Local => "local",
            Waiting::Signal => "signal",
        };
        Self {
            step: execution.step.clone(),
            compensation: execution.undo,
            waits_for: waits_for.to_owned(),
            of: execution.target.clone(),
            command: execution.command,
            attempt: execution.attempt,
            since: execution.since,
            until: execution.due_at,
        }
    }
}
