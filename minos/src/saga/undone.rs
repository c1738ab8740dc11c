//! How a saga ends that does not succeed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::run::Run;
use crate::{error::ErrorModel, model::Model};

/// A saga was undone: all that it had done is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Undone {
    /// The run.
    pub saga: Uuid,
    /// The step that is the reason, or the saga's name.
    pub step: String,
    /// `refused`, `failed`, `timed_out`, `voided`, `cancelled`, or `deadline`.
    pub kind: String,
    /// The reason in words.
    pub text: String,
    /// The typed error of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<serde_json::Value>,
}

impl Undone {
    pub(crate) fn of(saga: Uuid, run: &Run) -> Self {
        let error = run.error.clone();
        let (step, kind, text, error) = match error {
            Some(why) => (why.step, why.kind, why.text, why.error),
            None => (
                String::new(),
                "failed".to_owned(),
                "it was undone".to_owned(),
                None,
            ),
        };
        Self {
            saga,
            step,
            kind,
            text,
            error,
        }
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saga {} was undone", self.saga)?;
        if !self.step.is_empty() {
            write!(f, " because of `{}`", self.step)?;
        }
        write!(f, ": {}", self.text)?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Undone {}

impl Model for Undone {}

impl ErrorModel for Undone {
    fn status(&self) -> u16 {
        409
    }

    fn code(&self) -> &'static str {
        "Undone"
    }
}
