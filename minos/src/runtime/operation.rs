//! What operators decided, kept with what came of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    payload::Payload,
    store::{Condition, DeadLetter, Find, Order, Store, ViewWrite},
};

/// The view that keeps them: no name of a user's view has a dot.
const VIEW: &str = "minos.operations";

/// Who decides something about a service, and why.
///
/// ```
/// # use minos::Decision;
/// let decision = Decision::by("alice").because("fixed in 1.2");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub(crate) by: String,
    pub(crate) why: String,
    pub(crate) force: bool,
}

impl Decision {
    /// Somebody's decision.
    pub fn by(who: impl Into<String>) -> Self {
        Self {
            by: who.into(),
            why: String::new(),
            force: false,
        }
    }

    /// The reason, for those who read it later.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Also where it is not safe in general: see the method that takes the decision.
    #[must_use]
    pub fn by_force(mut self) -> Self {
        self.force = true;
        self
    }
}

/// What an operator did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why, in the operator's words.
    pub why: String,
    /// What: `replayed`, `replay_failed`, or `discarded`.
    pub what: String,
    /// The dead letter that it was about.
    pub letter: Uuid,
    /// What that was: whose, of which message, and for `discarded` the message itself.
    pub of: Value,
}

impl Operation {
    pub(super) fn of_letter(
        clock: &dyn Clock,
        decision: &Decision,
        what: &str,
        letter: &DeadLetter,
    ) -> Self {
        let message = &letter.message;
        let mut of = serde_json::json!({
            "consumer": plain(&letter.consumer),
            "key": plain(&letter.key),
            "reason": letter.reason,
            "error": plain(&letter.error),
            "message": message.id,
            "kind": message.kind,
            "topic": plain(&message.topic),
            "name": plain(&message.name),
        });
        if what == "discarded" {
            of["version"] = letter.version().into();
            of["sent_at"] = Value::from(message.at.to_rfc3339());
            of["payload"] = plain(message.payload.as_str()).into();
        }
        Self {
            id: clock.new_uuid(),
            at: clock.now(),
            by: plain(&decision.by),
            why: plain(&decision.why),
            what: what.to_owned(),
            letter: letter.id,
            of,
        }
    }

    /// The row that keeps it.
    pub(super) fn row(&self) -> Result<ViewWrite> {
        Ok(ViewWrite {
            view: VIEW.to_owned(),
            key: self.id.to_string(),
            row: Some(Payload::encode(self)?),
        })
    }
}

/// A text that every backend can keep and search: one from outside may have a NUL character.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// The last operations, the newest first; only those about one letter, if it is named.
pub(crate) async fn operations(
    store: &dyn Store,
    letter: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Operation>> {
    let find = Find {
        condition: match letter {
            Some(id) => Condition::Eq("letter".to_owned(), id.to_string().into()),
            None => Condition::All,
        },
        order: ["at", "id"]
            .map(|field| Order {
                field: field.to_owned(),
                descending: true,
            })
            .into(),
        limit,
        ..Find::all(VIEW)
    };
    let rows = store.find_views(&find).await?;
    let read = |(_, row): &(String, Payload)| {
        row.decode().map_err(|e: Error| {
            Error::new(
                Kind::Corrupt,
                format!("a stored operation cannot be read: {e}"),
            )
        })
    };
    rows.iter().map(read).collect()
}
