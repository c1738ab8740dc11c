//! What only this backend promises, and the suite of all.

mod group;
mod log;
mod process;

use std::{collections::BTreeMap, future::Future, time::Duration};

use uuid::Uuid;

use super::*;
use crate::{
    broker::{
        Broker as _, Delivery, Origin,
        conformance::{self, Fixture},
    },
    clock::{Clock, SystemClock},
    message::{Headers, Kind},
    payload::Payload,
};

struct Local {
    folder: tempfile::TempDir,
    broker: Broker,
}

impl Local {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = open(&folder, Options::default()).await;
        Self { folder, broker }
    }
}

#[async_trait]
impl Fixture for Local {
    fn broker(&self) -> Arc<dyn crate::broker::Broker> {
        Arc::new(self.broker.clone())
    }

    fn limit(&self) -> usize {
        self.broker.shared.options.limit
    }

    async fn inject(&self, topic: &str, key: &str, bytes: &[u8]) {
        let topic = self.broker.topic(topic).await.unwrap();
        let partition = share::partition(key, topic.partitions);
        let mut chunk = Chunk::default();
        chunk.push(topic, partition, (bytes.len(), 0), bytes);
        let ask = |answer| Op::Publish(chunk, answer);
        self.broker.shared.queue.ask(ask).await.unwrap();
    }

    async fn reopen(&mut self) -> bool {
        self.broker.close().await;
        self.broker = open(&self.folder, Options::default()).await;
        true
    }
}

conformance::suite!(conforms, Local::new().await);

/// Two processes that share a file have two of these.
async fn open(folder: &tempfile::TempDir, options: Options) -> Broker {
    let path = folder.path().join("broker.db");
    Broker::open(path, options).await.unwrap()
}

/// A connection of somebody who looks into the file.
async fn connect(folder: &tempfile::TempDir) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    let path = folder.path().join("broker.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    options.connect().await.unwrap()
}

async fn run(folder: &tempfile::TempDir, sql: &'static str) {
    let mut connection = connect(folder).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

const TOPIC: &str = "Foo";

fn topics() -> Vec<String> {
    vec![TOPIC.to_owned()]
}

fn numbered(key: &str, n: u64) -> Message {
    Message {
        id: Uuid::now_v7(),
        kind: Kind::Event,
        topic: TOPIC.to_owned(),
        name: "FooCreated".to_owned(),
        key: key.to_owned(),
        at: SystemClock.now(),
        headers: Headers::default(),
        payload: Payload::encode(&n).unwrap(),
    }
}

/// Messages with these numbers over `keys` keys.
fn spread(keys: u64, numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers
        .map(|n| numbered(&format!("key{}", n % keys), n))
        .collect()
}

fn number(delivery: &Delivery) -> u64 {
    delivery.message.as_ref().unwrap().payload.decode().unwrap()
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(number).collect()
}

fn origins(deliveries: &[Delivery]) -> Vec<Origin> {
    deliveries.iter().map(|d| d.origin.clone()).collect()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), future).await;
    done.unwrap_or_else(|_| panic!("waited a minute for this: {what}"))
}

async fn take(member: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(within("messages", member.next(64)).await.unwrap());
    }
    taken
}

/// Each key's first occurrences must have rising numbers, and all of `numbers` must be there.
fn check_order(seen: &[(String, u64)], keys: u64, numbers: std::ops::Range<u64>) {
    let mut of_key: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (key, n) in seen {
        let so_far = of_key.entry(key).or_default();
        if !so_far.contains(n) {
            so_far.push(*n);
        }
    }
    for key in 0..keys {
        let all: Vec<_> = numbers.clone().filter(|n| n % keys == key).collect();
        assert_eq!(of_key.get(&*format!("key{key}")), Some(&all), "key {key}");
    }
}
