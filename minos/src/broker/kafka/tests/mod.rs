//! Against a real Kafka, whose address is in `MINOS_TEST_KAFKA`.

mod conforms;
mod groups;
mod options;
mod topics;
mod worker;

use std::{future::Future, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use uuid::Uuid;

use super::{Broker, Options};
use crate::{
    broker::{Broker as _, Delivery, Origin, Subscription, share},
    clock::{Clock, SystemClock},
    message::{Headers, Kind, Message},
    payload::Payload,
};

/// Partitions of the topics of these tests.
const PARTITIONS: u32 = 4;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// The address of the Kafka that is there for tests.
fn server() -> String {
    std::env::var("MINOS_TEST_KAFKA").unwrap_or_else(|_| {
        panic!(
            "MINOS_TEST_KAFKA is not set: run `scripts/services up` and `eval \"$(scripts/services env)\"`, or name \
             the `host:port` of a Kafka that tests may use"
        )
    })
}

/// Options with names of their own, so that tests do not meet.
fn options() -> Options {
    at(&server())
}

fn at(server: &str) -> Options {
    Options::new(server)
        .prefix(format!("t{}.", Uuid::now_v7().simple()))
        .partitions(PARTITIONS)
}

async fn open(options: &Options) -> Broker {
    Broker::open(options.clone()).await.unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("waited {PATIENCE:?} for this: {what}");
    };
    done
}

/// A client for what the broker does not do.
fn admin(options: &Options) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.servers);
    config.create().unwrap()
}

fn patiently() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(Duration::from_secs(30)))
        .request_timeout(Some(Duration::from_secs(30)))
}

/// Writes a record as anybody could, into the partition of the key.
async fn write(options: &Options, topic: &str, key: &str, bytes: &[u8]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.servers);
    let producer: FutureProducer = config.create().unwrap();
    let topic = options.name(topic);
    let partition = i32::try_from(share::partition(key, PARTITIONS)).unwrap();
    let record = FutureRecord::to(&topic)
        .key(key)
        .payload(bytes)
        .partition(partition);
    producer
        .send(record, Duration::from_secs(30))
        .await
        .unwrap();
}

fn message(topic: &str, key: &str, n: u64) -> Message {
    Message {
        id: Uuid::now_v7(),
        kind: Kind::Event,
        topic: topic.to_owned(),
        name: "FooCreated".to_owned(),
        key: key.to_owned(),
        at: SystemClock.now(),
        headers: Headers::default(),
        payload: Payload::encode(&n).unwrap(),
    }
}

fn range(topic: &str, key: &str, numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers.map(|n| message(topic, key, n)).collect()
}

fn number(delivery: &Delivery) -> u64 {
    delivery.message.as_ref().unwrap().payload.decode().unwrap()
}

/// At least `count` deliveries.
async fn take(member: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = within("the next messages", member.next(64)).await;
        taken.extend(next.unwrap());
    }
    taken
}

async fn commit(member: &mut dyn Subscription, done: &[Delivery]) {
    let done: Vec<Origin> = done.iter().map(|d| d.origin.clone()).collect();
    within("a commit", member.commit(&done)).await.unwrap();
}

async fn join(broker: &Broker, group: &str, topic: &str) -> Box<dyn Subscription> {
    let topics = [topic.to_owned()];
    within("a subscription", broker.subscribe(group, &topics))
        .await
        .unwrap()
}

/// A broker with one topic.
async fn with_topic(options: &Options, topic: &str) -> Broker {
    let broker = open(options).await;
    broker.ensure_topics(&[topic.to_owned()]).await.unwrap();
    broker
}
