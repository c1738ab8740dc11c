//! The settings and their defaults.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::value::without_password;

/// How long it is remembered what was handled, unless something else is chosen or needed.
pub(crate) const INBOX_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

/// Every setting of a process, or of one service in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Where events and everything else of a service are kept.
    pub database: Database,
    /// How services reach each other.
    pub broker: Broker,
    /// The HTTP door.
    pub http: Http,
    /// How work is run.
    pub runtime: Runtime,
    /// What is logged.
    pub log: Log,
}

/// Where events and everything else of a service are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Database {
    /// Which database.
    pub url: DatabaseUrl,
    /// How many connections read at the same time.
    pub pool: u32,
    /// PostgreSQL: whether to go on with a database that was restored into another server.
    pub allow_restored: bool,
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseUrl {
    /// `memory://`: in memory, for tests; nothing survives the process.
    Memory,
    /// `sqlite://path`: an SQLite file. A relative path starts at the working directory.
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`: a schema in a PostgreSQL database, named like the service.
    Postgres(PostgresUrl),
}

/// The URL of a PostgreSQL database; it is shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(pub(super) String);

impl PostgresUrl {
    /// The URL with its password.
    #[must_use]
    pub fn exposed(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

/// How services reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Which broker.
    pub url: BrokerUrl,
    /// How many partitions a new topic gets: so many messages of one topic may be handled at once.
    pub partitions: u32,
    /// How long an instance that shows no life keeps its partitions.
    pub lease: Duration,
    /// Kafka: what the names of all topics and groups begin with.
    pub prefix: String,
    /// Kafka: how many copies a new topic gets; [`None`] for what the cluster is configured for.
    pub replication: Option<u32>,
    /// Kafka: properties of librdkafka.
    pub properties: Properties,
}

/// Properties of a client library; only their names are shown, the values may be secrets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(pub(super) BTreeMap<String, String>);

impl Properties {
    /// Names and values.
    pub fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Properties({self})")
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.keys().map(|name| format!("{name}=***")).collect();
        f.write_str(&shown.join(";"))
    }
}

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerUrl {
    /// `memory://`: in memory, for tests; it reaches the services of this process.
    Memory,
    /// `local://path`: the embedded broker, a file that all processes of this machine share.
    Local(PathBuf),
    /// `kafka://host:port,host:port`: an Apache Kafka cluster, by some of its servers.
    Kafka(String),
}

/// The HTTP door.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http {
    /// Where it listens.
    pub bind: Bind,
    /// The largest body that is read, in bytes.
    pub body_limit: usize,
    /// Threads that read requests and write answers; [`None`] for one per core.
    pub workers: Option<usize>,
    /// Whether the `user` header is believed. Only behind a gateway that sets it and that nobody can go around.
    pub trust_identity_headers: bool,
    /// What operators prove themselves with; without one nobody is an operator.
    pub operator_token: Option<Secret>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn exposed(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Where a door listens: a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// An address or a name; an IPv6 address without brackets.
    pub host: String,
    /// The port; zero for any free one.
    pub port: u16,
}

/// How work is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Runtime {
    /// How long a stop may take before what still runs is dropped.
    pub stop_grace: Duration,
    /// How many messages a service handles at once.
    pub concurrency: usize,
    /// How often a message that fails is tried again before it is parked.
    pub retries: u32,
    /// How often a handler runs for one message because what it read had moved.
    pub reruns: u32,
    /// How long it is remembered which messages were handled. If not set: 14 days, or twice the longest deadline of
    /// the service's sagas, if that is longer.
    pub inbox_retention: Option<Duration>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// A level, or directives such as `info,minos=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::Sqlite(PathBuf::from("data/{service}.db")),
            pool: 8,
            allow_restored: false,
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: BrokerUrl::Local(PathBuf::from("data/broker.db")),
            partitions: 8,
            lease: Duration::from_secs(3),
            prefix: String::new(),
            replication: None,
            properties: Properties::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: Bind {
                host: "127.0.0.1".to_owned(),
                port: 4545,
            },
            body_limit: 1024 * 1024,
            workers: None,
            trust_identity_headers: false,
            operator_token: None,
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            stop_grace: Duration::from_secs(5),
            concurrency: 16,
            retries: 8,
            reruns: 16,
            inbox_retention: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Memory => f.write_str("memory://"),
            DatabaseUrl::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            DatabaseUrl::Postgres(url) => write!(f, "{url}"),
        }
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokerUrl::Memory => f.write_str("memory://"),
            BrokerUrl::Local(path) => write!(f, "local://{}", path.display()),
            BrokerUrl::Kafka(servers) => write!(f, "kafka://{servers}"),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}
