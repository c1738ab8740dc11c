//! The stored state of one run of a saga: the body of its row.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::TargetKind;
use crate::{
    error::{Error, Failure, Kind, Result},
    message::{Message, Outcome},
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

    /// Where a row stands.
    pub(crate) fn of(row: &SagaRow) -> Option<Self> {
        [
            Status::Running,
            Status::Compensating,
            Status::Completed,
            Status::Compensated,
            Status::Stuck,
        ]
        .into_iter()
        .find(|s| s.as_str() == row.status)
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
    /// It was not to run: its condition did not hold, or another branch was chosen.
    Skipped,
    /// Nobody answered in time, and the saga goes on without it; it did nothing.
    Lapsed,
    Compensating,
    Compensated,
    Stuck,
}

impl StepStatus {
    /// As it is stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            StepStatus::Running => "running",
            StepStatus::Done => "done",
            StepStatus::Refused => "refused",
            StepStatus::Failed => "failed",
            StepStatus::Voided => "voided",
            StepStatus::Skipped => "skipped",
            StepStatus::Lapsed => "lapsed",
            StepStatus::Compensating => "compensating",
            StepStatus::Compensated => "compensated",
            StepStatus::Stuck => "stuck",
        }
    }
}

/// Why something went wrong: the typed error of a refusal, or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// `refused`, `failed`, `timed_out`, `voided`, `cancelled`, or `deadline`.
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
    /// It is the reason, or one of the victims, of the saga's being undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) given_up: bool,
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
    /// A signal from outside.
    Signal,
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
    /// When it must be looked at again; [`None`] if only an answer or a signal moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// Whom it calls, or for which signal it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// Why it is called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<Trouble>,
    /// It pauses before its next attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) paused: bool,
    /// When its latest message was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_at: Option<DateTime<Utc>>,
    /// When it was looked at last, that message had not left yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) held: bool,
    /// What it was answered, while the saga is stuck because it could not take that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Outcome>,
}

/// A signal that came before its step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) content: Payload,
    pub(crate) at: DateTime<Utc>,
}

/// Who started a saga that is a step of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parent {
    pub(crate) saga: Uuid,
    /// The execution that waits for it.
    pub(crate) command: Uuid,
    /// How many sagas there are around it.
    pub(crate) depth: u32,
}

/// Why a saga cannot go on by itself, and what it did before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Halt {
    pub(crate) from: Status,
    pub(crate) why: Trouble,
}

/// The body of a row of which only a part is looked at. The rest stays as it was written, also what this build does not
/// know.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stored(BTreeMap<String, Payload>);

impl Stored {
    pub(crate) fn of(row: &SagaRow) -> Result<Self> {
        row.body.decode().map(Self)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        self.0.get(field)?.decode().ok()
    }

    pub(crate) fn put<T: Serialize>(&mut self, field: &str, value: &T) -> Result<()> {
        self.0.insert(field.to_owned(), Payload::encode(value)?);
        Ok(())
    }

    pub(crate) fn body(&self) -> Result<Payload> {
        Payload::encode(self)
    }
}

/// How a run is stored. It rises whenever a build writes what an earlier one would lose or misread: that one then leaves
/// the row to those that can read it.
const FORMAT: u32 = 1;

/// The body of a saga's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The format of the build that moved it last; 0 if it is of before there was one.
    #[serde(default)]
    format: u32,
    pub(crate) state: Payload,
    pub(crate) steps: Vec<StepRun>,
    /// What is under way: one, or those of a parallel group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) executions: Vec<Execution>,
    /// The only one, in a stored row: an instance of before there were groups can read it, too.
    #[serde(default, rename = "execution", skip_serializing_if = "Option::is_none")]
    single: Option<Execution>,
    /// Why it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Trouble>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) halt: Option<Halt>,
    /// Which branch was chosen; [`None`] if no condition held.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) choices: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signals: Vec<Signal>,
    /// What it was told by builds that do not know it, and is to be read first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mail: Vec<Message>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Parent>,
    /// The last lines of its history, once it has moved so often that no more are kept beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) latest: Vec<Payload>,
    /// How many lines there were between its first ones and the last.
    #[serde(default, skip_serializing_if = "none")]
    pub(crate) left_out: u64,
    /// The process that moved it last: it has the first go at what is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// The steps when it last moved.
    pub(crate) definition: String,
}

impl Run {
    pub(crate) fn new(state: Payload, definition: String) -> Self {
        Self {
            format: FORMAT,
            state,
            steps: Vec::new(),
            executions: Vec::new(),
            single: None,
            error: None,
            halt: None,
            choices: BTreeMap::new(),
            signals: Vec::new(),
            mail: Vec::new(),
            latest: Vec::new(),
            left_out: 0,
            parent: None,
            owner: None,
            deadline_at: None,
            user: None,
            correlation: None,
            traceparent: None,
            definition,
        }
    }

    /// The run of a row that is to be moved.
    ///
    /// # Errors
    /// [`Kind::Wiring`] if it is of a newer build, [`Kind::Corrupt`] if it cannot be read.
    pub(crate) fn of(row: &SagaRow) -> Result<Self> {
        let newer = |format: u32| -> Error {
            let text = format!(
                "the stored run of saga {} is of a newer build: its format is {format}, and this build writes {FORMAT}",
                row.id
            );
            Error::new(Kind::Wiring, text)
        };
        match Self::seen(row) {
            Ok(run) if run.format > FORMAT => Err(newer(run.format)),
            // What a newer build wrote may be what cannot be read.
            Err(e) => match Stored::of(row).ok().and_then(|s| s.get("format")) {
                Some(format) if format > FORMAT => Err(newer(format)),
                _ => Err(e),
            },
            run => run,
        }
    }

    /// The run of a row that is only looked at: what a newer build added is not seen.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if it cannot be read.
    pub(crate) fn seen(row: &SagaRow) -> Result<Self> {
        let mut run: Self = row.body.decode().map_err(|e| -> Error {
            let text = format!("the stored run of saga {} cannot be read: {e}", row.id);
            Failure::new(Kind::Corrupt, text).because(e).into()
        })?;
        if let Some(mut execution) = run.single.take() {
            // Rows of before there were groups had one due time.
            if execution.target.is_none() {
                execution.due_at = execution.due_at.or(row.due_at);
            }
            run.executions.push(execution);
        }
        Ok(run)
    }

    /// The body of a row.
    pub(crate) fn body(mut self) -> Result<Payload> {
        self.format = FORMAT;
        if self.executions.len() == 1 {
            self.single = self.executions.pop();
        }
        Payload::encode(&self)
    }

    /// How a step stands, if it was reached.
    pub(crate) fn status(&self, name: &str) -> Option<StepStatus> {
        let step = self.steps.iter().find(|s| s.name == name);
        step.map(|s| s.status)
    }

    pub(crate) fn step(&mut self, name: &str) -> Option<&mut StepRun> {
        self.steps.iter_mut().find(|s| s.name == name)
    }
}

pub(crate) fn none(number: &u64) -> bool {
    *number == 0
}

impl TargetKind {
    pub(crate) fn changes(self) -> bool {
        !matches!(self, TargetKind::Query)
    }
}
