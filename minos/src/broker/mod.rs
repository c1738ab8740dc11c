//! The broker: keyed, replayable topics between services.
//!
//! [`Broker`] is the contract, `conformance` the suite that holds every backend to it.

#[cfg(feature = "kafka")]
mod cloudevents;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "local")]
pub mod local;
pub mod memory;
mod share;
mod wire;

use std::fmt;

use async_trait::async_trait;

pub use crate::message::Origin;
use crate::{error, message::Message};

/// One message as a consumer gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Where it stands in its topic.
    pub origin: Origin,
    /// The message, or why its bytes are none.
    pub message: Result<Message, Undecodable>,
}

/// Bytes that are no message. They are parked, never in the way of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// The bytes for a human: what is not text is replaced.
    pub text: String,
    /// What is wrong with them.
    pub reason: String,
    /// All that was delivered, as [`Broker::decode`] of the same backend reads it; empty if even that could not be
    /// read.
    pub bytes: Vec<u8>,
}

/// Why the broker could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker is away; what was published may or may not be there.
    #[error("the broker is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The topic was not created.
    #[error("there is no topic `{0}`")]
    NoTopic(String),
    /// A message is larger than the broker takes.
    #[error("a message of {size} bytes is above the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Anything else.
    #[error("the broker failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A result of the broker.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl<E> From<Error> for error::Error<E> {
    fn from(e: Error) -> Self {
        let kind = match &e {
            Error::Unavailable(_) => error::Kind::Unavailable,
            Error::TooLarge { .. } => error::Kind::TooLarge,
            Error::NoTopic(_) | Error::Backend(_) => error::Kind::Internal,
        };
        error::Error::Failed(error::Failure::new(kind, e.to_string()).because(e))
    }
}

/// A log of messages in topics and partitions, read by groups.
///
/// Messages of one key stand in one partition, in the order in which they were published. Every group gets every
/// message at least once.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// The backend's name, such as `local`.
    fn backend(&self) -> &'static str;

    /// Creates the topics that do not exist yet. The number of partitions of one that exists stays.
    async fn ensure_topics(&self, topics: &[String]) -> Result<()>;

    /// Publishes messages in their order: all are durable once this returns `Ok`.
    ///
    /// # Errors
    /// [`Error::NoTopic`] for a topic that was not created: nothing creates one by the way.
    ///
    /// After any error a part may have been published; publish the same batch again (consumers know duplicates
    /// by the message id).
    async fn publish(&self, messages: &[Message]) -> Result<()>;

    /// Joins a group: the members of one group share the partitions of the topics.
    ///
    /// # Errors
    /// [`Error::NoTopic`] for a topic that was not created. A committed offset outside the log is an error as well,
    /// here or in [`next`](Subscription::next): nothing is skipped without a word.
    async fn subscribe(&self, group: &str, topics: &[String]) -> Result<Box<dyn Subscription>>;

    /// Reads the bytes of an [`Undecodable`] anew: a later version may know what an earlier one did not.
    ///
    /// # Errors
    /// Why they are still no message.
    fn decode(&self, origin: &Origin, bytes: &[u8]) -> Result<Message, Undecodable>;

    /// Whether the broker can be reached.
    async fn health(&self) -> Result<()>;

    /// Finishes what was asked for, lets its members leave, and closes. Everything after it is
    /// [`Error::Unavailable`], also in calls that wait.
    async fn close(&self);
}

/// One member of a group.
///
/// It starts at the group's committed offsets, or at the beginning of a partition without one, and goes on after
/// what it delivered. A partition that it lost and got again starts at the committed offset. Dropping it leaves the
/// group; what was not committed goes to the next holder of the partition.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Waits for the next messages, at most `max`; in order within a partition.
    ///
    /// # Cancel safety
    /// Nothing is lost when the call is dropped: the messages come with the next one.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>>;

    /// Marks everything in these partitions up to and with the given offsets as done.
    ///
    /// Offsets of a partition that moved to another member are ignored, and so are offsets above what this member
    /// got of a partition: no commit skips a message that nobody saw. A lower offset never moves the group back.
    async fn commit(&mut self, done: &[Origin]) -> Result<()>;
}
