//! `Idempotency-Key`: a request that is repeated is done once and answered twice.
//!
//! The key is an inbox row in the commit of what the request did, and the row keeps the answer. So either both are
//! there or neither, whatever happens between them and the client.

use actix_web::http::header::HeaderName;
use serde::{Deserialize, Serialize};
use uuid::{Uuid, uuid};

use super::reply::Reply;
use crate::{
    error::{Error, Failure, Kind, Result},
    message::{Outcome, Status},
    payload::Payload,
    store::{InboxMark, StreamId},
};

/// The name space of keys and bodies: ids are UUIDs of version 5 in it (RFC 9562).
const NAMES: Uuid = uuid!("6f6a0c1c-41d4-4b66-9d0c-6a8d24f0e5b1");

/// Says that an answer is a recorded one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of one request, and what the request was.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Whose keys: `http:<VERB> <route path>:<user or ->`.
    consumer: String,
    text: String,
    /// Stands for path, query, and body.
    fingerprint: Uuid,
}

/// What the inbox keeps of an answered request.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    key: String,
    fingerprint: Uuid,
    status: u16,
    problem: bool,
    body: Option<Payload>,
}

impl Key {
    /// The key of a request for this route by this user, with its path and query as they came.
    pub(super) fn new(
        text: String,
        route: (&str, &str),
        user: Option<Uuid>,
        target: &str,
        body: &[u8],
    ) -> Self {
        let user = user.map_or_else(|| "-".to_owned(), |u| u.to_string());
        // A target has no NUL, so it ends where the body begins.
        let whole = [target.as_bytes(), b"\0", body].concat();
        Self {
            consumer: format!("http:{} {}:{user}", route.0, route.1),
            fingerprint: Uuid::new_v5(&NAMES, &whole),
            text,
        }
    }

    pub(super) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// The key's text as the id of a message.
    pub(super) fn message(&self) -> Uuid {
        Uuid::new_v5(&NAMES, self.text.as_bytes())
    }

    /// The queue of requests with this key.
    pub(super) fn queue(&self) -> StreamId {
        StreamId::new(self.consumer.clone(), self.message())
    }

    /// The inbox row that keeps this answer.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an answer that not every backend can keep.
    pub(super) fn mark(&self, status: Status, reply: &Reply) -> Result<InboxMark> {
        let record = Record {
            key: self.text.clone(),
            fingerprint: self.fingerprint,
            status: reply.status,
            problem: reply.problem,
            body: reply.body.clone(),
        };
        Ok(InboxMark {
            consumer: self.consumer.clone(),
            message: self.message(),
            outcome: Some(Outcome {
                status,
                payload: Payload::encode(&record)?,
            }),
        })
    }

    /// The recorded answer.
    ///
    /// # Errors
    /// [`Kind::Unprocessable`] if the key was used for another request, [`Kind::Corrupt`] if the record cannot be
    /// read.
    pub(super) fn replay(&self, outcome: Option<&Outcome>) -> Result<Reply> {
        let record: Record = outcome
            .ok_or_else(|| corrupt("there is no answer"))?
            .payload
            .decode()
            .map_err(|e: Error| corrupt("it cannot be read").because(e))?;
        if record.key != self.text || record.fingerprint != self.fingerprint {
            let text = "this `Idempotency-Key` was used for another request; take a new one for each request";
            return Err(Failure::new(Kind::Unprocessable, text).into());
        }
        let reply = Reply {
            status: record.status,
            problem: record.problem,
            body: record.body,
            headers: Vec::new(),
        };
        Ok(reply.with(REPLAYED, "true"))
    }
}

fn corrupt(why: &str) -> Failure {
    Failure::new(Kind::Corrupt, format!("a recorded HTTP answer: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, target: &str, body: &str) -> Key {
        let route = ("POST", "/foos/{uuid}");
        Key::new(text.to_owned(), route, None, target, body.as_bytes())
    }

    #[test]
    fn the_id_of_a_key_never_changes() {
        // Stored rows depend on it: this may only change with a migration.
        let id = key("abc", "/foos/1", "{}").message();
        assert_eq!(id.to_string(), "4b8d3cdb-9f2b-54a5-bd9a-2c0d0959a79c");
        assert_eq!(
            key("abc", "/foos/1", "{}").consumer(),
            "http:POST /foos/{uuid}:-"
        );
        assert_ne!(id, key("abd", "/foos/1", "{}").message());
    }

    #[test]
    fn a_record_answers_the_same_request_only() {
        let reply = Reply::json(201, &1, Uuid::nil());
        let mark = key("abc", "/foos/1?a=1", "{}")
            .mark(Status::Done, &reply)
            .unwrap();
        let again = |text, target, body| key(text, target, body).replay(mark.outcome.as_ref());
        let replayed = again("abc", "/foos/1?a=1", "{}").unwrap();
        assert_eq!((replayed.status, &replayed.body), (201, &reply.body));
        assert_eq!(replayed.headers, [(REPLAYED, "true".to_owned())]);
        for (text, target, body) in [
            ("abc", "/foos/1?a=1", "{ }"),
            ("abc", "/foos/1?a=2", "{}"),
            ("abc", "/foos/2?a=1", "{}"),
            ("abd", "/foos/1?a=1", "{}"),
        ] {
            let error = again(text, target, body).unwrap_err();
            assert_eq!(error.kind(), Some(Kind::Unprocessable));
        }
        let error = key("abc", "/", "").replay(None).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Corrupt));
    }
}
