//! From rows to what they mean, and back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::fault;
use crate::{
    clock::micros,
    message::{Headers, Kind, Message, Outcome, Status},
    payload::Payload,
    store::{Error, Guard, Position, Result},
};

/// A column of any type that PostgreSQL has.
pub(super) fn get<'r, T>(row: &'r PgRow, column: usize) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(fault::explain)
}

pub(super) fn count(row: &PgRow, column: usize) -> Result<u64> {
    let n: i64 = get(row, column)?;
    u64::try_from(n).map_err(|_| Error::Corrupt(format!("a stored version is negative: {n}")))
}

pub(super) fn guard(row: &PgRow, column: usize) -> Result<Guard> {
    Ok(Guard {
        version: count(row, column)?,
        tail: get(row, column + 1)?,
    })
}

/// A position from its three columns.
pub(super) fn position(row: &PgRow, column: usize) -> Result<Position> {
    Ok(Position {
        epoch: get(row, column)?,
        xid: get(row, column + 1)?,
        row: get(row, column + 2)?,
    })
}

pub(super) fn json(row: &PgRow, column: usize) -> Result<Payload> {
    let text: &str = get(row, column)?;
    Ok(Payload::from_text(text))
}

pub(super) fn optional_json(row: &PgRow, column: usize) -> Result<Option<Payload>> {
    let text: Option<&str> = get(row, column)?;
    Ok(text.map(Payload::from_text))
}

pub(super) fn time(row: &PgRow, column: usize) -> Result<DateTime<Utc>> {
    get(row, column)
}

pub(super) fn headers(row: &PgRow, column: usize) -> Result<Headers> {
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
    at: DateTime<Utc>,
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
    at: DateTime<Utc>,
    headers: &'a Headers,
}

/// A message without its payload, as text.
pub(super) fn envelope(message: &Message) -> serde_json::Result<String> {
    serde_json::to_string(&EnvelopeRef {
        id: message.id,
        kind: message.kind,
        topic: &message.topic,
        name: &message.name,
        key: &message.key,
        at: micros(message.at),
        headers: &message.headers,
    })
}

/// A message from its envelope and its payload.
pub(super) fn message(row: &PgRow, column: usize, payload: Payload) -> Result<Message> {
    let text: &str = get(row, column)?;
    let envelope: Envelope =
        serde_json::from_str(text).map_err(|e| Error::Corrupt(format!("a stored message: {e}")))?;
    Ok(Message {
        id: envelope.id,
        kind: envelope.kind,
        topic: envelope.topic,
        name: envelope.name,
        key: envelope.key,
        at: envelope.at,
        headers: envelope.headers,
        payload,
    })
}

/// How a status is written.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Refused => "refused",
        Status::Failed => "failed",
        Status::Voided => "voided",
    }
}

/// An outcome from its two columns.
pub(super) fn outcome(status: Option<&str>, payload: Option<&str>) -> Result<Option<Outcome>> {
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
        payload: payload.map_or_else(Payload::null, Payload::from_text),
    }))
}
