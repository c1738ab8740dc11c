//! Apache Kafka as the broker.
//!
//! Messages are CloudEvents in binary mode, so that other languages can read and write them; the guide describes
//! them byte by byte. Topics, keys, groups, and offsets are those of Kafka.
//!
//! How it works: one idempotent producer publishes batches as a whole and is thrown away when anything fails, so
//! that no message overtakes one before it. Each member of a group is a consumer of its own with a thread of its own
//! that polls, commits, and gives partitions up. The partition of a key is chosen here, by the same function as on
//! the other backends, and a topic whose number of partitions changed is refused.

mod error;
mod log;
mod member;
mod off;
mod options;
mod producer;
mod state;
mod subscription;
#[cfg(test)]
mod tests;
mod topics;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use self::options::Options;
pub(crate) use self::options::fixed;
use self::{
    producer::{Outgoing, Producer},
    state::{Failure, Shared as Member},
    subscription::Joined,
    topics::Topics,
};
use super::{Error, Origin, Result, Subscription, Undecodable, cloudevents, share};
use crate::message::Message;

/// A cluster. Clones share its clients.
///
/// ```no_run
/// # use minos::broker::{Broker as _, kafka::{Broker, Options}};
/// # async fn example() -> Result<(), minos::broker::Error> {
/// let broker = Broker::open(Options::new("localhost:9092")).await?;
/// broker.ensure_topics(&["Foo".into()]).await?;
/// let mut member = broker.subscribe("shop", &["Foo".into()]).await?;
/// let messages = member.next(100).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Inner>,
}

struct Inner {
    options: Options,
    topics: Topics,
    producer: Producer,
    members: Mutex<Members>,
}

/// Those that live, and how to know when all have left.
struct Members {
    known: Vec<Weak<Member>>,
    /// Each member's thread has a clone; [`None`] once the broker is closed.
    alive: Option<mpsc::Sender<()>>,
    gone: Option<mpsc::Receiver<()>>,
}

impl Broker {
    /// Checks the options and makes the clients. Kafka need not be there yet.
    ///
    /// # Errors
    /// When the options do not fit together, a property is not known, or it is not for users to set. Values of
    /// properties are not in the error.
    pub async fn open(options: Options) -> Result<Self> {
        options.check()?;
        let (alive, gone) = mpsc::channel(1);
        let producer = Producer::new(options.clone());
        // It gets its id from Kafka while nobody waits for it.
        producer.client().await?;
        Ok(Self {
            shared: Arc::new(Inner {
                topics: Topics::new(options.clone())?,
                producer,
                options,
                members: Mutex::new(Members {
                    known: Vec::new(),
                    alive: Some(alive),
                    gone: Some(gone),
                }),
            }),
        })
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Members> {
        let members = &self.shared.members;
        members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<mpsc::Sender<()>> {
        self.members().alive.clone().ok_or_else(error::closed)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("kafka::Broker")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl super::Broker for Broker {
    fn backend(&self) -> &'static str {
        "kafka"
    }

    async fn ensure_topics(&self, topics: &[String]) -> Result<()> {
        let _alive = self.check()?;
        self.shared.topics.ensure(topics).await
    }

    async fn publish(&self, messages: &[Message]) -> Result<()> {
        // Closing waits for what was asked for before.
        let _alive = self.check()?;
        if messages.is_empty() {
            return Ok(());
        }
        let names = messages.iter().map(|m| m.topic.as_str());
        let topics = self.shared.topics.get(names).await?;
        let mut records = Vec::with_capacity(messages.len());
        for message in messages {
            let Some(topic) = topics.get(message.topic.as_str()) else {
                return Err(Error::NoTopic(message.topic.clone()));
            };
            let mut headers =
                cloudevents::headers(message).map_err(|e| Error::Backend(e.into()))?;
            headers.push((cloudevents::PARTITIONS, topic.partitions.to_string().into()));
            let partition = share::partition(&message.key, topic.partitions);
            let record = Outgoing {
                topic: topic.name.clone(),
                partition: i32::try_from(partition).unwrap_or(i32::MAX),
                key: &message.key,
                headers,
                value: message.payload.as_str(),
            };
            let (size, limit) = (record.size(), topic.limit);
            if size > limit {
                return Err(Error::TooLarge { size, limit });
            }
            records.push(record);
        }
        self.shared.producer.publish(records).await
    }

    async fn subscribe(&self, group: &str, topics: &[String]) -> Result<Box<dyn Subscription>> {
        let alive = self.check()?;
        let mut names = topics.to_vec();
        names.sort();
        names.dedup();
        for topic in &names {
            self.shared.topics.count(topic).await?;
        }
        let options = self.shared.options.clone();
        let patience = options.patience;
        let (member, started) = member::start(options, group.to_owned(), names, alive)?;
        // From here on dropping this future leaves the group again.
        let joined = Joined::new(member.clone(), group, patience);
        started.await.map_err(error::ended)??;
        let closed = {
            let mut members = self.members();
            members.known.retain(|m| m.strong_count() > 0);
            members.known.push(Arc::downgrade(&member));
            members.alive.is_none()
        };
        if closed {
            return Err(error::closed());
        }
        Ok(Box::new(joined))
    }

    fn decode(&self, origin: &Origin, bytes: &[u8]) -> Result<Message, Undecodable> {
        cloudevents::decode_kept(&origin.topic, bytes)
    }

    async fn health(&self) -> Result<()> {
        let _alive = self.check()?;
        self.shared.topics.health().await
    }

    async fn close(&self) {
        let (known, gone) = {
            let mut members = self.members();
            members.alive = None;
            (std::mem::take(&mut members.known), members.gone.take())
        };
        for member in known.iter().filter_map(Weak::upgrade) {
            member.fail(Failure::Closed);
        }
        let patience = self.shared.options.patience;
        if let Some(mut gone) = gone {
            // Nobody sends anything: it ends when the last clone of the sender is gone.
            if tokio::time::timeout(patience, gone.recv()).await.is_err() {
                tracing::warn!(
                    "a member of a group could not leave in time; its partitions move later"
                );
            }
        }
        self.shared.producer.close(patience).await;
    }
}
