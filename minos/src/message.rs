//! What travels between services: the envelope, its headers, and contracts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{model::Model, payload::Payload};

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something happened to an aggregate.
    Event,
    /// Somebody asks for a change.
    Command,
    /// Somebody asks a question.
    Query,
    /// The answer to a command or a query.
    Reply,
    /// Asks the participant to void the command whose id is in [`Headers::command`], unless it ran already.
    Void,
    /// Something happened that a saga may wait for: the saga is in [`Headers::saga`].
    Signal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Event,
        Self::Command,
        Self::Query,
        Self::Reply,
        Self::Void,
        Self::Signal,
    ];

    /// Its name, as it is sent and stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
            Self::Query => "query",
            Self::Reply => "reply",
            Self::Void => "void",
            Self::Signal => "signal",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == name)
    }
}

/// One message: headers for the machinery, a payload for the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The id by which a duplicate is known.
    pub id: Uuid,
    /// What it is for.
    pub kind: Kind,
    /// The physical topic: the aggregate's name for events, the contract's name for commands and queries,
    /// `{service}.replies` for replies and signals.
    pub topic: String,
    /// The message's own name, such as `FooCreated` or `CreateFooBar`.
    pub name: String,
    /// Messages with one key stay in order.
    pub key: String,
    /// When it was created.
    pub at: DateTime<Utc>,
    /// What the machinery needs.
    pub headers: Headers,
    /// What the user sent.
    pub payload: Payload,
}

/// A place in a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset in the partition; rising, not always dense.
    pub offset: i64,
}

/// What the machinery carries beside a payload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Headers {
    /// The service that sent it.
    pub source: String,
    /// All that one request from outside caused has one correlation id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Uuid>,
    /// The message that caused this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation: Option<Uuid>,
    /// For whom this runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Uuid>,
    /// Where the answer goes; no answer without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The saga that waits for the answer, or that is answered or signalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<Uuid>,
    /// The command's id. Commands of sagas: shared by all attempts of one execution, so that a participant runs it
    /// once. Replies and voids: the command that they are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Uuid>,
    /// Replies: how the command ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Events: the aggregate's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Uuid>,
    /// Events: the aggregate's version after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The span that this belongs to, as W3C Trace Context writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Whatever the user adds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
}

impl Message {
    /// The id under which the inbox knows this message.
    #[must_use]
    pub fn command_id(&self) -> Uuid {
        self.headers.command.unwrap_or(self.id)
    }
}

/// How a command ended at its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran; the payload is the reply.
    Done,
    /// The handler refused it; the payload is the typed error. Nothing happened.
    Refused,
    /// It could not be handled; the payload is a text. Nothing happened.
    Failed,
    /// It was voided before it ran, and never will. Nothing happened.
    Voided,
}

/// How a command ended and with which answer: what the inbox keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The reply, the typed error, or the text of the failure.
    pub payload: Payload,
}

/// What a contract is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractKind {
    /// It asks for a change.
    Command,
    /// It asks a question and changes nothing.
    Query,
    /// It says that something happened.
    Event,
}

/// A message that services agreed on. `#[contract]` writes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a contract",
    label = "not a contract",
    note = "add `#[contract]` to `{Self}`, or write the topic as a literal: `command(\"..\")`"
)]
pub trait Contract: Model {
    /// The name on the wire, also its topic.
    const NAME: &'static str;
    /// What it is for.
    const KIND: ContractKind;
    /// The answer.
    type Reply;
    /// The typed refusal.
    type Error;
}

/// The topic of a service's replies.
#[must_use]
pub fn replies_topic(service: &str) -> String {
    format!("{service}.replies")
}
