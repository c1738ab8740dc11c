//! From rows to what they mean, and back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{fault, script::Script};
use crate::{
    message::{Headers, Kind, Message, Outcome, Status},
    payload::Payload,
    store::{Error, Guard, Result},
};

/// A column of any type that SQLite has.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: usize) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(fault::explain)
}

pub(super) fn id(row: &SqliteRow, column: usize) -> Result<Uuid> {
    let bytes: &[u8] = get(row, column)?;
    Uuid::from_slice(bytes).map_err(|e| Error::Corrupt(format!("a stored id is no UUID: {e}")))
}

pub(super) fn count(row: &SqliteRow, column: usize) -> Result<u64> {
    let n: i64 = get(row, column)?;
    u64::try_from(n).map_err(|_| Error::Corrupt(format!("a stored version is negative: {n}")))
}

pub(super) fn index(row: &SqliteRow) -> Result<usize> {
    let n: i64 = get(row, 0)?;
    usize::try_from(n).map_err(|_| Error::Corrupt(format!("a row answers to request {n}")))
}

pub(super) fn guard(row: &SqliteRow, column: usize) -> Result<Guard> {
    Ok(Guard {
        version: count(row, column)?,
        tail: id(row, column + 1)?,
    })
}

pub(super) fn json(row: &SqliteRow, column: usize) -> Result<Payload> {
    let text: &str = get(row, column)?;
    Ok(Payload::from_text(text))
}

pub(super) fn optional_json(row: &SqliteRow, column: usize) -> Result<Option<Payload>> {
    let text: Option<&str> = get(row, column)?;
    Ok(text.map(Payload::from_text))
}

pub(super) fn time(row: &SqliteRow, column: usize) -> Result<DateTime<Utc>> {
    from_micros(get(row, column)?)
}

pub(super) fn optional_time(row: &SqliteRow, column: usize) -> Result<Option<DateTime<Utc>>> {
    let micros: Option<i64> = get(row, column)?;
    micros.map(from_micros).transpose()
}

fn from_micros(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Error::Corrupt(format!("a stored time is out of range: {micros} us")))
}

pub(super) fn headers(row: &SqliteRow, column: usize) -> Result<Headers> {
    let text: &str = get(row, column)?;
    serde_json::from_str(text).map_err(|e| Error::Corrupt(format!("stored headers: {e}")))
}

/// All of a message but its payload, which is kept as it is in a column of its own.
#[derive(Deserialize)]
struct Envelope {
    id: Uuid,
    kind: Kind,
    topic: String,
    name: String,
    key: String,
    at: i64,
    headers: Headers,
}

/// The same to be written.
#[derive(Serialize)]
struct EnvelopeRef<'a> {
    id: Uuid,
    kind: Kind,
    topic: &'a str,
    name: &'a str,
    key: &'a str,
    at: i64,
    headers: &'a Headers,
}

/// A message from its two columns.
pub(super) fn message(row: &SqliteRow, column: usize) -> Result<Message> {
    let text: &str = get(row, column)?;
    let envelope: Envelope =
        serde_json::from_str(text).map_err(|e| Error::Corrupt(format!("a stored message: {e}")))?;
    Ok(Message {
        id: envelope.id,
        kind: envelope.kind,
        topic: envelope.topic,
        name: envelope.name,
        key: envelope.key,
        at: from_micros(envelope.at)?,
        headers: envelope.headers,
        payload: json(row, column + 1)?,
    })
}

/// Binds a message to its two columns.
pub(super) fn bind_message<T: Copy>(script: &mut Script<T>, message: &Message) {
    let envelope = EnvelopeRef {
        id: message.id,
        kind: message.kind,
        topic: &message.topic,
        name: &message.name,
        key: &message.key,
        at: message.at.timestamp_micros(),
        headers: &message.headers,
    };
    bind_serialized(script, &envelope);
    script.json(&message.payload);
}

/// Binds a value as JSON text.
pub(super) fn bind_serialized<T: Copy>(script: &mut Script<T>, value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => {
            script.bind(text);
        }
        Err(e) => script.refuse(e.into()),
    }
}

/// An outcome from its two columns.
pub(super) fn outcome(row: &SqliteRow, column: usize) -> Result<Option<Outcome>> {
    let status: Option<&str> = get(row, column)?;
    let Some(status) = status else {
        return Ok(None);
    };
    let status = match status {
        "done" => Status::Done,
        "refused" => Status::Refused,
        "failed" => Status::Failed,
        "voided" => Status::Voided,
        other => return Err(Error::Corrupt(format!("a stored outcome `{other}`"))),
    };
    Ok(Some(Outcome {
        status,
        payload: json(row, column + 1)?,
    }))
}

/// Binds an outcome to its two columns.
pub(super) fn bind_outcome<T: Copy>(script: &mut Script<T>, outcome: Option<&Outcome>) {
    let status = outcome.map(|o| match o.status {
        Status::Done => "done",
        Status::Refused => "refused",
        Status::Failed => "failed",
        Status::Voided => "voided",
    });
    script.bind(status);
    script.bind(outcome.map(|o| Arc::<str>::from(o.payload.clone())));
}
