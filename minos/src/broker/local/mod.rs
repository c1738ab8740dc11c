//! The embedded broker: one SQLite file that the processes of one machine share.
//!
//! Nothing has to be installed or started. What `publish` answered `Ok` to is on the disk. A message stands in the
//! partition of its key, every group reads every partition from the beginning, and the members of a group share the
//! partitions, whichever process they live in.
//!
//! How it works: each open [`Broker`] has one writer, which puts concurrent publications and commits into one
//! transaction. A reader in the same process is woken by the writer at once; one in another process notices the
//! change of the file within some 50 ms. Members show that they live by a lease that they renew. When one vanishes
//! the others take its partitions over, and because a commit checks the owner in the same statement, a member that
//! was only slow cannot commit any more.

mod error;
mod file;
mod lease;
mod member;
mod options;
mod read;
mod subscription;
#[cfg(test)]
mod tests;
mod topic;
mod writer;

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

pub use self::options::Options;
use self::{
    member::Member,
    read::Reader,
    subscription::Joined,
    topic::{Hub, Topic},
    writer::{Chunk, Op, Queue, Writer},
};
use super::{Error, Origin, Result, Subscription, Undecodable, share, wire};
use crate::message::Message;

/// The bytes of messages that are written in one transaction, at most, unless one message is larger.
const CHUNK: usize = 8 * 1024 * 1024;

/// A log in an SQLite file. Clones share it.
///
/// ```no_run
/// # use minos::broker::{Broker as _, local::{Broker, Options}};
/// # async fn example() -> Result<(), minos::broker::Error> {
/// let broker = Broker::open("local://data/broker.db", Options::default()).await?;
/// broker.ensure_topics(&["Foo".into()]).await?;
/// let mut member = broker.subscribe("shop", &["Foo".into()]).await?;
/// let messages = member.next(100).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    queue: Queue,
    hub: Arc<Hub>,
    reader: Reader,
    closing: watch::Sender<bool>,
    members: Mutex<Vec<JoinHandle<()>>>,
}

impl Broker {
    /// Opens the log at a path or a `local://` URL, and creates what is missing.
    ///
    /// It has to be called within a tokio runtime, which runs its writer.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a broker's, or was written by a newer version. The error names it.
    pub async fn open(place: impl AsRef<Path>, options: Options) -> Result<Self> {
        options.check()?;
        let (file, connection) = file::File::open(place.as_ref(), &options).await?;
        let hub = Arc::new(Hub::default());
        let reader = Reader::new(&file);
        let queue = Writer::start(file, connection, Arc::clone(&hub), &options);
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                queue,
                hub,
                reader,
                closing: watch::Sender::new(false),
                members: Mutex::default(),
            }),
        })
    }

    async fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        if let Some(topic) = self.shared.hub.topic(name) {
            return Ok(topic);
        }
        // Another process may have created it.
        match self.shared.reader.topic(name).await? {
            Some((id, partitions)) => Ok(self.shared.hub.add(id, name, partitions)),
            None => Err(Error::NoTopic(name.to_owned())),
        }
    }

    /// Messages as rows, in pieces that one transaction can take.
    async fn encode(&self, messages: &[Message]) -> Result<Vec<Chunk>> {
        let limit = self.shared.options.limit;
        let mut chunks = vec![Chunk::default()];
        for message in messages {
            let topic = self.topic(&message.topic).await?;
            let mut bytes = Vec::new();
            let sizes = wire::append(message, &mut bytes).map_err(|e| Error::Backend(e.into()))?;
            if bytes.len() > limit {
                let size = bytes.len();
                return Err(Error::TooLarge { size, limit });
            }
            let partition = share::partition(&message.key, topic.partitions);
            match chunks.last_mut() {
                Some(last) if last.bytes.len() + bytes.len() <= CHUNK => {
                    last.push(topic, partition, sizes, &bytes);
                }
                _ => {
                    let mut next = Chunk::default();
                    next.push(topic, partition, sizes, &bytes);
                    chunks.push(next);
                }
            }
        }
        Ok(chunks)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("local::Broker")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl super::Broker for Broker {
    fn backend(&self) -> &'static str {
        "local"
    }

    async fn ensure_topics(&self, topics: &[String]) -> Result<()> {
        let known = |name: &&String| self.shared.hub.topic(name).is_none();
        let missing: Vec<String> = topics.iter().filter(known).cloned().collect();
        for name in &missing {
            check_name("topic", name)?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let ask = |answer| Op::Topics(missing, answer);
        self.shared.queue.ask(ask).await
    }

    async fn publish(&self, messages: &[Message]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        // One piece after the other: were the second written and the first not, publishing both again would
        // bring the second before the first.
        for chunk in self.encode(messages).await? {
            let ask = |answer| Op::Publish(chunk, answer);
            self.shared.queue.ask(ask).await?;
        }
        Ok(())
    }

    async fn subscribe(&self, group: &str, topics: &[String]) -> Result<Box<dyn Subscription>> {
        check_name("group", group)?;
        self.shared.queue.check()?;
        let mut known = Vec::new();
        for name in topics.iter().collect::<BTreeSet<_>>() {
            known.push(self.topic(name).await?);
        }
        let member = Arc::new(Member::new(group, known, &self.shared.options));
        self.shared.hub.join(&member);
        let (stay, left) = oneshot::channel();
        let (ready, joined) = oneshot::channel();
        let task = tokio::spawn(member::live(
            Arc::clone(&member),
            self.shared.queue.clone(),
            ready,
            left,
            self.shared.closing.subscribe(),
        ));
        {
            let mut members = topic::lock(&self.shared.members);
            members.retain(|task| !task.is_finished());
            members.push(task);
        }
        // From here on dropping this future leaves the group again.
        let joining = Joined::new(Arc::clone(&self.shared), member, stay);
        joined.await.map_err(|_| error::closed())??;
        joining.check()?;
        Ok(Box::new(joining))
    }

    fn decode(&self, origin: &Origin, bytes: &[u8]) -> Result<Message, Undecodable> {
        wire::decode_raw(&origin.topic, bytes)
    }

    async fn health(&self) -> Result<()> {
        self.shared.queue.check()?;
        self.shared.reader.check().await
    }

    async fn close(&self) {
        self.shared.closing.send_replace(true);
        let members = std::mem::take(&mut *topic::lock(&self.shared.members));
        for member in members {
            // It fails only if the member panicked; there is nothing to give up then.
            let _ = member.await;
        }
        // The writer finishes what was asked for before.
        let _ = self.shared.queue.ask(Op::Close).await;
        self.shared.reader.close().await;
    }
}

fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        let why = format!("{name:?} is no name of a {what}: it is empty or has a NUL character");
        return Err(Error::Backend(why.into()));
    }
    Ok(())
}
