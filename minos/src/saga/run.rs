//! The stored state of one run of a saga: the body of its row.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::TargetKind;
use crate::{
    error::{Error, Failure, Kind, Result},
    payload::Payload,
    store::SagaRow,
};

/// Where a saga stands. The row's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Its steps run.
    Running,
    /// Its steps are undone.
    Compensating,
    /// All steps are done.
    Completed,
    /// All that was done is undone.
    Compensated,
    /// It cannot go on by itself: somebody must look.
    Stuck,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Compensating => "compensating",
            Status::Completed => "completed",
            Status::Compensated => "compensated",
            Status::Stuck => "stuck",
        }
    }
}

/// How a step ended, or that it did not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepStatus {
    Running,
    Done,
    /// The participant (or the local step) refused; it did nothing.
    Refused,
    /// It could not be done; it did nothing.
    Failed,
    /// It was called off before it ran; it did nothing.
    Voided,
    Compensating,
    Compensated,
    Stuck,
}

/// Why something went wrong: the typed error of a refusal, or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// `refused`, `failed`, `timed_out`, `voided`, or `deadline`.
    pub(crate) kind: String,
    pub(crate) step: String,
    /// In words.
    pub(crate) text: String,
    /// The typed error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<serde_json::Value>,
}

/// One step that was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepRun {
    pub(crate) name: String,
    pub(crate) status: StepStatus,
    /// How often it was sent or run.
    pub(crate) attempts: u32,
    /// How often its compensation was.
    #[serde(default)]
    pub(crate) compensations: u32,
    pub(crate) started_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Trouble>,
}

/// What the saga waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Waiting {
    /// The answer to a command or query.
    Reply,
    /// The answer to a void: whether the command ran.
    Void,
    /// A local step, to be run here.
    Local,
}

/// One execution of a step or of its compensation: all its attempts share the command id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Execution {
    pub(crate) command: Uuid,
    pub(crate) step: String,
    pub(crate) undo: bool,
    /// Attempts of this execution.
    pub(crate) attempt: u32,
    /// Executions of this step before this one.
    pub(crate) before: u32,
    pub(crate) waiting: Waiting,
    /// Whether it may have changed something at the participant.
    pub(crate) changes: bool,
    pub(crate) since: DateTime<Utc>,
    /// When its latest message was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_at: Option<DateTime<Utc>>,
    /// When it was looked at last, that message had not left yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) held: bool,
}

/// The body of a saga's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) state: Payload,
    pub(crate) steps: Vec<StepRun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) execution: Option<Execution>,
    /// Why it compensates or is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Trouble>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// The names and kinds of the steps when it was started.
    pub(crate) definition: String,
}

impl Run {
    pub(crate) fn of(row: &SagaRow) -> Result<Self> {
        row.body.decode().map_err(|e| -> Error {
            let text = format!("the stored run of saga {} cannot be read: {e}", row.id);
            Failure::new(Kind::Corrupt, text).because(e).into()
        })
    }

    pub(crate) fn step(&mut self, name: &str) -> Option<&mut StepRun> {
        self.steps.iter_mut().find(|s| s.name == name)
    }
}

impl TargetKind {
    pub(crate) fn changes(self) -> bool {
        !matches!(self, TargetKind::Query)
    }
}
