//! Messages that are put aside, with all that is known about why.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;
use uuid::Uuid;

use super::{
    event::{Seal, done, parked_once, subject},
    handle::{Handler, Incoming},
};
use crate::{
    error::{Failure, Result},
    message::Message,
    store::{DeadLetter, Position, Reason, Trial},
};

/// How many tries are kept with a letter.
const KEPT: usize = 20;

/// The longest text of an error that is kept, in bytes.
const TEXT: usize = 4096;

/// No message that is younger is looked up in the horizons: they are further away than this.
pub(crate) const YOUNG: TimeDelta = TimeDelta::hours(1);

/// What was tried with a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries {
    pub(super) attempts: u32,
    pub(super) history: Vec<Trial>,
    /// The last error, for operators.
    pub(super) error: String,
    /// The last error, for whoever sent the message.
    pub(super) public: String,
}

impl Tries {
    /// Nothing was tried; that is why.
    pub(super) fn none(why: impl Into<String>) -> Self {
        Self {
            error: why.into(),
            ..Self::default()
        }
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, at: DateTime<Utc>, failure: &Failure) {
        let error = told(failure);
        self.attempts += 1;
        self.error.clone_from(&error);
        self.public = failure.public();
        self.history.push(Trial { at, error });
        keep_last(&mut self.history);
    }
}

fn keep_last(history: &mut Vec<Trial>) {
    history.drain(..history.len().saturating_sub(KEPT));
}

/// A failure with its causes.
fn told(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(e) = cause {
        let why = e.to_string();
        // Many errors say what their cause says.
        if !text.ends_with(&why) {
            text = format!("{text}: {why}");
        }
        cause = e.source();
    }
    text.truncate(text.floor_char_boundary(TEXT));
    text
}

/// The key of a message's letters: events of an aggregate wait for each other.
pub(super) fn key(message: &Message) -> String {
    match subject(message) {
        Some((stream, _)) => stream.to_string(),
        None => message.key.clone(),
    }
}

impl Handler {
    /// Parks a message; `seal` says that this is done.
    pub(super) async fn park(
        &self,
        consumer: &str,
        incoming: Incoming<'_>,
        reason: Reason,
        tries: Tries,
        seal: Seal,
    ) -> Result<()> {
        let message = incoming.message;
        warn!(message = %message.id, name = message.name, consumer, %reason, why = tries.error, "a message is parked");
        let mut unit = self.unit();
        seal.put(&mut unit);
        unit.dead_letters
            .push(self.letter(consumer, incoming, reason, tries));
        done(self.core.store.commit(unit).await)
    }

    pub(super) fn letter(
        &self,
        consumer: &str,
        incoming: Incoming<'_>,
        reason: Reason,
        tries: Tries,
    ) -> DeadLetter {
        DeadLetter {
            id: self.core.clock.new_uuid(),
            consumer: consumer.to_owned(),
            key: key(incoming.message),
            message: incoming.message.clone(),
            reason,
            error: tries.error,
            attempts: tries.attempts,
            at: self.core.clock.now(),
            origin: incoming.origin.cloned(),
            history: tries.history,
            bytes: None,
        }
    }

    /// Why a message is not run that is older than what the inbox remembers; [`None`] for others.
    pub(super) async fn forgotten(
        &self,
        consumer: &str,
        message: &Message,
        id: Uuid,
    ) -> Result<Option<String>> {
        let store = &self.core.store;
        if message.at > self.core.clock.now() - YOUNG {
            return Ok(None);
        }
        // In this order: whoever forgets raises the horizon first.
        if store.inbox(consumer, id).await?.is_some() {
            return Ok(None);
        }
        let horizon = store.cursor(&horizon(consumer)).await?;
        let forgotten = message.at.timestamp_micros() < horizon.position.row;
        Ok(forgotten.then(|| {
            format!(
                "it is of {}, older than what the inbox remembers: nobody knows whether it was handled",
                message.at.to_rfc3339()
            )
        }))
    }

    pub(super) async fn park_forgotten(
        &self,
        consumer: &str,
        incoming: Incoming<'_>,
        why: String,
    ) -> Result<()> {
        let seal = parked_once(consumer, incoming.message);
        self.park(consumer, incoming, Reason::Expired, Tries::none(why), seal)
            .await
    }
}

/// The cursor that says up to which time a consumer's inbox may have been forgotten.
pub(crate) fn horizon(consumer: &str) -> String {
    format!("inbox:{consumer}")
}

/// The time of a horizon, as a position.
pub(crate) fn position(at: DateTime<Utc>) -> Position {
    Position {
        row: at.timestamp_micros(),
        ..Position::START
    }
}

/// A letter that was tried again.
pub(super) fn tried_again(letter: &DeadLetter, tries: Tries) -> DeadLetter {
    let mut history = letter.history.clone();
    history.extend(tries.history);
    keep_last(&mut history);
    DeadLetter {
        reason: match letter.reason {
            // What it waits for is over: from now on it is its own error that counts.
            Reason::Behind | Reason::Gap => Reason::Failed,
            reason => reason,
        },
        error: tries.error,
        attempts: letter.attempts.saturating_add(tries.attempts),
        history,
        ..letter.clone()
    }
}
