//! Topics: making them, and what has to be known of one before something is published to it.
//!
//! The partition of a key follows from the number of partitions, so a topic must keep the number with which its
//! first message was published. Kafka has no place for it but the messages: each carries the number that its
//! publisher counted with. Who publishes to a topic for the first time compares the last message of each partition
//! with what the cluster says now, and looks again every few seconds. A topic without messages has no order to
//! break, so a topic that was removed and made again is new.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::{Headers as _, Message as _},
    topic_partition_list::{Offset, TopicPartitionList},
};
use tracing::{debug, warn};

use super::{Options, error, log::Quiet, off::Off};
use crate::broker::{Error, Result, cloudevents};

/// How long one question about the cluster may take.
const ASK: Duration = Duration::from_secs(3);
/// How soon it is asked again.
const AGAIN: Duration = Duration::from_millis(20);
/// What Kafka adds to a message when it counts against a topic's limit.
const OVERHEAD: usize = 512;

/// What is known of a topic.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    /// Its name in the cluster.
    pub(super) name: Arc<str>,
    pub(super) partitions: u32,
    /// The largest message it takes, in bytes.
    pub(super) limit: usize,
    seen: Instant,
}

/// The topics of a cluster.
pub(super) struct Topics {
    options: Options,
    admin: Off<AdminClient<Quiet>>,
    known: Mutex<HashMap<String, Topic>>,
    warned: AtomicBool,
}

impl Topics {
    pub(super) fn new(options: Options) -> Result<Self> {
        let admin = options.admin().create_with_context(Quiet);
        Ok(Self {
            options,
            admin: Off::new(admin.map_err(error::config)?),
            known: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// What is known of these topics; it is asked for if it is not, or not any more.
    pub(super) async fn get<'a>(
        &self,
        topics: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeMap<&'a str, Topic>> {
        let mut found = BTreeMap::new();
        for topic in topics {
            if found.contains_key(topic) {
                continue;
            }
            let known = self.known().get(topic).cloned();
            let topic_now = match known {
                Some(known) if known.seen.elapsed() < self.options.fresh => known,
                Some(known) => self.look_again(topic, known).await?,
                None => self.learn(topic).await?,
            };
            found.insert(topic, topic_now);
        }
        Ok(found)
    }

    /// Creates what is missing.
    pub(super) async fn ensure(&self, topics: &[String]) -> Result<()> {
        let mut missing = Vec::new();
        for topic in topics {
            check_name(&self.options.name(topic))?;
            match self.count(topic).await {
                Ok(_) => {}
                Err(Error::NoTopic(_)) => missing.push(self.options.name(topic)),
                Err(e) => return Err(e),
            }
        }
        if !missing.is_empty() {
            self.create(&missing).await?;
        }
        Ok(())
    }

    async fn create(&self, names: &[String]) -> Result<()> {
        let count = i32::try_from(self.options.partitions).unwrap_or(i32::MAX);
        let copies = self.options.replication.and_then(|n| i32::try_from(n).ok());
        let largest = (self.options.limit() + OVERHEAD).to_string();
        let news: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| {
                // -1: what the cluster is configured for.
                let copies = TopicReplication::Fixed(copies.unwrap_or(-1));
                NewTopic::new(name, count, copies).set("max.message.bytes", &largest)
            })
            .collect();
        let patience = AdminOptions::new()
            .operation_timeout(Some(self.options.patience))
            .request_timeout(Some(self.options.patience));
        let made = self.admin.create_topics(&news, &patience).await;
        for made in made.map_err(error::from)? {
            match made {
                // Somebody else was faster: its number of partitions counts.
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, Code::InvalidReplicationFactor)) => {
                    let why = format!(
                        "topic `{name}` cannot be created: the cluster has fewer brokers than `broker.replication` \
                         asks for"
                    );
                    return Err(Error::Backend(why.into()));
                }
                Err((name, code)) => {
                    let why = format!("topic `{name}` cannot be created: {code}");
                    return Err(error::of(code, why.into()));
                }
            }
        }
        for name in names {
            self.settled(name).await?;
        }
        Ok(())
    }

    /// Waits until a new topic is known to the cluster and can be written to.
    async fn settled(&self, name: &str) -> Result<()> {
        let plain = name.strip_prefix(&*self.options.prefix).unwrap_or(name);
        let settled = async {
            let mut pause = Duration::from_millis(5);
            loop {
                match self.count(plain).await {
                    Err(Error::NoTopic(_) | Error::Unavailable(_)) => {}
                    counted => return counted.map(drop),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(200));
            }
        };
        let late = || Error::Unavailable(format!("topic `{name}` is not ready yet").into());
        let waited = tokio::time::timeout(self.options.patience, settled).await;
        waited.map_err(|_| late())?
    }

    /// How many partitions a topic has now.
    pub(super) async fn count(&self, topic: &str) -> Result<u32> {
        let name = self.options.name(topic);
        let missing = || Error::NoTopic(topic.to_owned());
        let counted = self.admin.run(move |admin| {
            let metadata = admin.inner().fetch_metadata(Some(&name), ASK)?;
            let Some(topic) = metadata.topics().first() else {
                return Err(KafkaError::MetadataFetch(Code::UnknownTopicOrPartition));
            };
            // A topic with an error has no list of partitions, not even an empty one.
            if let Some(e) = topic.error() {
                return Err(KafkaError::MetadataFetch(e.into()));
            }
            if topic.partitions().iter().any(|p| p.leader() < 0) {
                return Err(KafkaError::MetadataFetch(Code::LeaderNotAvailable));
            }
            Ok(topic.partitions().len())
        });
        match counted.await? {
            Ok(count) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
            Err(e) => match e.rdkafka_error_code() {
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Err(missing()),
                _ => Err(error::from(e)),
            },
        }
    }

    /// Asks for all that has to be known of a topic before the first publication.
    async fn learn(&self, topic: &str) -> Result<Topic> {
        let name: Arc<str> = self.options.name(topic).into();
        check_name(&name)?;
        let partitions = self.count(topic).await?;
        let before = self.last_count(name.clone(), partitions).await?;
        if let Some(before) = before.into_iter().find(|before| *before != partitions) {
            return Err(moved(&name, before, partitions));
        }
        let known = Topic {
            limit: self.limit(&name).await?,
            name,
            partitions,
            seen: Instant::now(),
        };
        self.known().insert(topic.to_owned(), known.clone());
        Ok(known)
    }

    /// Whether a topic has as many partitions as it had.
    async fn look_again(&self, topic: &str, mut known: Topic) -> Result<Topic> {
        let now = self.count(topic).await;
        if matches!(now, Err(Error::NoTopic(_))) {
            self.known().remove(topic);
        }
        let now = now?;
        if now != known.partitions {
            return Err(moved(&known.name, known.partitions, now));
        }
        known.seen = Instant::now();
        self.known().insert(topic.to_owned(), known.clone());
        Ok(known)
    }

    /// The numbers of partitions in the last message of each partition.
    async fn last_count(&self, name: Arc<str>, partitions: u32) -> Result<Vec<u32>> {
        let config = self.options.looker();
        let patience = self.options.patience;
        let look = move || -> Result<Vec<u32>> {
            let consumer: BaseConsumer<Quiet> =
                config.create_with_context(Quiet).map_err(error::config)?;
            let started = Instant::now();
            // By their numbers: librdkafka lets half a second pass until it asks for the tail of a partition.
            let last = loop {
                match last_places(&consumer, &name, partitions) {
                    // The leaders of a topic that is new do not know it at once.
                    Err(Error::Unavailable(why)) if started.elapsed() < patience => {
                        debug!(error = %why, topic = &*name, "looking for its end");
                        std::thread::park_timeout(AGAIN);
                    }
                    found => break found?,
                }
            };
            consumer.assign(&last).map_err(error::from)?;
            let (mut counts, mut ended) = (Vec::new(), BTreeSet::new());
            while ended.len() < last.count() {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(last)) => {
                        let headers = last.headers().into_iter().flat_map(|h| h.iter());
                        let pairs = headers.map(|h| (h.key, h.value));
                        counts.extend(cloudevents::partitions(pairs));
                        ended.insert(last.partition());
                    }
                    // What stood there is no message.
                    Some(Err(KafkaError::PartitionEOF(partition))) => {
                        ended.insert(partition);
                    }
                    Some(Err(e)) => debug!(error = %e, topic = &*name, "looking at its end"),
                    None => {}
                }
                if started.elapsed() > patience {
                    return Err(Error::Unavailable(
                        format!("the end of topic `{name}` cannot be read").into(),
                    ));
                }
            }
            Ok(counts)
        };
        tokio::task::spawn_blocking(look)
            .await
            .map_err(error::ended)?
    }

    /// The largest message that a topic takes; a warning if it may lose what it acknowledged.
    async fn limit(&self, name: &str) -> Result<usize> {
        let ours = self.options.limit();
        let patience = AdminOptions::new().request_timeout(Some(ASK));
        let asked = [ResourceSpecifier::Topic(name)];
        let told = self.admin.describe_configs(&asked, &patience).await;
        let told: Option<ConfigResource> = match told {
            Ok(told) => told.into_iter().next().and_then(|told| told.ok()),
            Err(e) => match error::from(e) {
                away @ Error::Unavailable(_) => return Err(away),
                // It may be forbidden; then others have to look after the cluster.
                _ => None,
            },
        };
        let Some(told) = told else {
            debug!(topic = name, "its configuration is not to be had");
            return Ok(ours);
        };
        let value = |key| told.get(key).and_then(|entry| entry.value.as_deref());
        let weak = weaknesses(
            value("min.insync.replicas"),
            value("unclean.leader.election.enable"),
        );
        if let Some(weak) = weak
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            warn!(topic = name, "{weak}");
        }
        let theirs = value("max.message.bytes").and_then(|n| n.parse::<usize>().ok());
        Ok(theirs.map_or(ours, |n| n.saturating_sub(OVERHEAD).min(ours)))
    }

    /// Whether the cluster answers.
    pub(super) async fn health(&self) -> Result<()> {
        // One topic is cheaper than all of a large cluster.
        let any = self.known().keys().next().cloned();
        let any = any.map(|topic| self.options.name(&topic));
        let asked = self
            .admin
            .run(move |admin| admin.inner().fetch_metadata(any.as_deref(), ASK).map(drop));
        asked.await?.map_err(error::from)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Topic>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the last message of each partition stands that has one.
fn last_places(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    partitions: u32,
) -> Result<TopicPartitionList> {
    let ask = |edge: Offset| -> KafkaResult<TopicPartitionList> {
        let mut edges = TopicPartitionList::new();
        for partition in 0..partitions {
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            edges.add_partition_offset(topic, partition, edge)?;
        }
        consumer.offsets_for_times(edges, ASK)
    };
    let (first, end) = (ask(Offset::Beginning), ask(Offset::End));
    let (first, end) = (first.map_err(error::from)?, end.map_err(error::from)?);
    let mut last = TopicPartitionList::new();
    for end in end.elements() {
        let first = first.find_partition(topic, end.partition());
        let first = first.map_or(Offset::Invalid, |first| first.offset());
        match (first, end.offset()) {
            (Offset::Offset(first), Offset::Offset(end_at)) => {
                if first < end_at {
                    last.add_partition_offset(topic, end.partition(), Offset::Offset(end_at - 1))
                        .map_err(error::from)?;
                }
            }
            _ => {
                let why = format!("the end of topic `{topic}` is not known");
                return Err(Error::Unavailable(why.into()));
            }
        }
    }
    Ok(last)
}

/// What the settings of a topic may cost, in words.
fn weaknesses(in_sync: Option<&str>, unclean: Option<&str>) -> Option<String> {
    let few = in_sync
        .and_then(|n| n.parse::<u32>().ok())
        .is_some_and(|n| n < 2);
    let unclean = unclean == Some("true");
    if !few && !unclean {
        return None;
    }
    let few = few.then_some("`min.insync.replicas` is below 2");
    let unclean = unclean.then_some("`unclean.leader.election.enable` is on");
    let both: Vec<&str> = few.into_iter().chain(unclean).collect();
    Some(format!(
        "Kafka may lose messages that it acknowledged: {}; this is fine for development only",
        both.join(" and ")
    ))
}

fn moved(name: &str, before: u32, now: u32) -> Error {
    Error::Backend(
        format!(
            "topic `{name}` has {now} partitions, its messages were published to {before}: the order within a key \
             would break. Nothing is published to it; let its consumers finish, then make it anew under its name \
             with the number of partitions that you want"
        )
        .into(),
    )
}

/// What Kafka takes as the name of a topic.
fn check_name(name: &str) -> Result<()> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.len() > 249 || [".", ".."].contains(&name) || !name.bytes().all(fits)
    {
        let why = format!(
            "{name:?} is no name of a topic in Kafka: it takes 1 to 249 letters, digits, `.`, `_`, and `-` of ASCII"
        );
        return Err(Error::Backend(why.into()));
    }
    Ok(())
}
