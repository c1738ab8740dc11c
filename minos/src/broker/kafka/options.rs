//! What can be chosen about Kafka, and what cannot because safety hangs on it.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::error;
use crate::broker::{Error, Result};

/// The most partitions a topic may have.
const MOST: u32 = 1024;

/// The largest message in bytes unless `message.max.bytes` says otherwise: librdkafka's default, below Kafka's own.
const LIMIT: usize = 1_000_000;

/// The shortest session that clusters take unless they are configured otherwise.
const SESSION: Duration = Duration::from_secs(6);

/// Properties that are not for users to set, and why.
const FIXED: &[(&str, &str)] = &[
    ("bootstrap.servers", "`broker.url` says it"),
    ("metadata.broker.list", "`broker.url` says it"),
    (
        "group.id",
        "groups are named by services and their handler blocks",
    ),
    (
        "allow.auto.create.topics",
        "a topic would get any number of partitions",
    ),
    ("enable.idempotence", IDEMPOTENT),
    ("enable.gapless.guarantee", IDEMPOTENT),
    ("max.in.flight.requests.per.connection", IDEMPOTENT),
    ("max.in.flight", IDEMPOTENT),
    ("message.send.max.retries", IDEMPOTENT),
    ("retries", IDEMPOTENT),
    ("queuing.strategy", IDEMPOTENT),
    (
        "message.timeout.ms",
        "a message given up alone would come after those behind it",
    ),
    (
        "delivery.timeout.ms",
        "a message given up alone would come after those behind it",
    ),
    (
        "acks",
        "what was published must survive the loss of a broker",
    ),
    (
        "request.required.acks",
        "what was published must survive the loss of a broker",
    ),
    ("transactional.id", "publications are no transactions"),
    (
        "partitioner",
        "the partition of a key is chosen by minos, the same on every backend",
    ),
    (
        "delivery.report.only.error",
        "a publication waits for the report of each message",
    ),
    ("enable.auto.commit", COMMITS),
    ("auto.commit.enable", COMMITS),
    ("auto.commit.interval.ms", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    ("offset.store.method", COMMITS),
    (
        "auto.offset.reset",
        "messages would be skipped, or repeated, without a word",
    ),
    ("isolation.level", "an aborted message is none"),
    (
        "partition.assignment.strategy",
        "members of one group must agree",
    ),
    ("group.protocol", "members of one group must agree"),
    ("group.remote.assignor", "members of one group must agree"),
    ("enable.partition.eof", "nobody would listen"),
    ("enabled_events", "nobody would listen"),
    ("log.queue", "the log goes through `tracing`"),
];

const IDEMPOTENT: &str = "order within a key hangs on it";
const COMMITS: &str = "an offset is committed when its message was handled, not before";

/// What can be chosen when a [`Broker`](super::Broker) is opened.
///
/// ```
/// let options = minos::broker::kafka::Options::new("localhost:9092")
///     .prefix("test.")
///     .partitions(16)
///     .property("security.protocol", "ssl");
/// ```
#[derive(Clone)]
pub struct Options {
    pub(super) servers: String,
    pub(super) prefix: String,
    pub(super) partitions: u32,
    pub(super) replication: Option<u32>,
    pub(super) session: Duration,
    pub(super) patience: Duration,
    pub(super) grace: Duration,
    /// How old what is known of a topic may be when something is published to it.
    pub(super) fresh: Duration,
    properties: BTreeMap<String, String>,
}

impl Options {
    /// Servers to ask first, as `host:port,host:port`.
    #[must_use]
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            prefix: String::new(),
            partitions: 8,
            replication: None,
            session: SESSION,
            patience: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            fresh: Duration::from_secs(10),
            properties: BTreeMap::new(),
        }
    }

    /// What the names of all topics and groups begin with, so that several systems can share a cluster; nothing if
    /// not set.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The number of partitions of topics that are created from now on; 8 if not set.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// How many copies of topics that are created from now on; what the cluster is configured for if not set.
    #[must_use]
    pub fn replication(mut self, replication: Option<u32>) -> Self {
        self.replication = replication;
        self
    }

    /// How long a member that shows no life keeps its partitions; 6 s if not set, which is the shortest that clusters
    /// take unless they are configured otherwise.
    #[must_use]
    pub fn session(mut self, session: Duration) -> Self {
        self.session = session;
        self
    }

    /// How long Kafka may make no progress before a call is given up; 10 s if not set.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long a member may finish what it got of a partition that moves to another member; 2 s if not set.
    ///
    /// What it does not finish comes again, at the other member.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets any property of librdkafka, such as `sasl.username`.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// The largest message in bytes.
    pub(super) fn limit(&self) -> usize {
        let chosen = self.properties.get("message.max.bytes");
        chosen.and_then(|n| n.parse().ok()).unwrap_or(LIMIT)
    }

    /// The name in the cluster.
    pub(super) fn name(&self, plain: &str) -> String {
        format!("{}{plain}", self.prefix)
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Backend(what.into()));
        if !(1..=MOST).contains(&self.partitions) {
            let given = self.partitions;
            return wrong(format!("partitions is {given}: it must be 1 to {MOST}"));
        }
        for name in self.properties.keys() {
            if let Some(why) = fixed(name) {
                return wrong(format!("`{name}` cannot be set: {why}"));
            }
        }
        for config in [self.producer(), self.consumer("check"), self.admin()] {
            config.create_native_config().map_err(error::config)?;
        }
        Ok(())
    }

    fn client(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("client.id", "minos");
        config.set("allow.auto.create.topics", "false");
        // A broker that comes back is found again within a second or so.
        config.set("reconnect.backoff.ms", "50");
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("topic.metadata.refresh.interval.ms", "30000");
        config.set("socket.timeout.ms", "10000");
        config.set("socket.connection.setup.timeout.ms", "10000");
        config.set("log.connection.close", "false");
        for (name, value) in ours {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.servers);
        config
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.client(&[])
    }

    pub(super) fn producer(&self) -> ClientConfig {
        self.client(&[
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("acks", "all"),
            // No message is given up alone: the whole producer is, after `patience`.
            ("message.timeout.ms", "0"),
            ("linger.ms", "1"),
            ("compression.type", "lz4"),
            ("queue.buffering.max.kbytes", "65536"),
            ("retry.backoff.max.ms", "500"),
        ])
    }

    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let session = self.session.as_millis().max(1);
        let mut config = self.client(&[
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", &session.to_string()),
            // The others hear of a member that comes or goes with their next heartbeat.
            (
                "heartbeat.interval.ms",
                &(session / 3).clamp(1, 500).to_string(),
            ),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            // A partition that is new joins the next fetch; until then it waits for this one.
            ("fetch.wait.max.ms", "50"),
            ("fetch.error.backoff.ms", "50"),
            // What waits in memory, beside what is handed out.
            ("queued.max.messages.kbytes", "8192"),
            ("fetch.max.bytes", "16777216"),
            ("fetch.queue.backoff.ms", "20"),
            ("check.crcs", "true"),
        ]);
        config.set("group.id", self.name(group));
        config
    }

    /// For a look at the last records of a topic.
    pub(super) fn looker(&self) -> ClientConfig {
        let mut config = self.consumer("look");
        config.set("enable.partition.eof", "true");
        config
    }
}

/// Why a property is not for users to set, if it is not.
pub(crate) fn fixed(name: &str) -> Option<&'static str> {
    let found = FIXED.iter().find(|(fixed, _)| *fixed == name);
    found.map(|(_, why)| *why)
}

/// Values of properties may be secrets: only their names are shown.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("kafka::Options")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("session", &self.session)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}
