//! Against a real Kafka, whose address is in `MINOS_TEST_KAFKA`.

mod conforms;

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use uuid::Uuid;

use super::{Broker, Options};
use crate::broker::share;

/// Partitions of the topics of these tests.
const PARTITIONS: u32 = 4;

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
    Options::new(server())
        .prefix(format!("t{}.", Uuid::now_v7().simple()))
        .partitions(PARTITIONS)
        .session(Duration::from_secs(6))
}

async fn open(options: &Options) -> Broker {
    Broker::open(options.clone()).await.unwrap()
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
