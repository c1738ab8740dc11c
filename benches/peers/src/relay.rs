//! From the commit to Kafka: how many messages per second, and how long one takes at half of that.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use minos::{
    Builder, Payload, Running,
    config::Config,
    message::Headers,
    prelude::*,
    store::{NewEvent, Store, StreamId, UnitOfWork, Write, postgres},
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::{floor::database, note, ours::Account, rows::Table};

/// How many messages wait when the relay starts.
const WAITING: usize = 200_000;
/// How many events are written at once while latency is taken.
const AT_ONCE: u64 = 25;
const PARTITIONS: i32 = 8;

pub(crate) async fn relay(server: &str, kafka: &str) -> crate::Result<()> {
    let bare = bare(kafka).await?;
    let url = database(server, "peers_relay").await?;
    fill(&url).await?;
    let prefix = format!("peers{}.", Uuid::now_v7().simple());
    let topic = format!("{prefix}Account");
    let arrived = Arrived::at(kafka, &topic);
    let config = Config::in_memory()
        .set("database.url", &url)?
        .set("broker.url", &format!("kafka://{kafka}"))?
        .set("broker.prefix", &prefix)?;
    let running = Arc::new(
        Builder::new([crate::service()])
            .config(config)
            .start()
            .await?,
    );
    let took = arrived.wait(WAITING).await?;
    let ours = WAITING as f64 / took.as_secs_f64();
    let mut table = Table::new(
        "relay to Kafka, messages per second",
        &["from the log", "p50 ms", "p99 ms", "at per second"],
    );
    table.add("rdkafka alone", vec![bare, f64::NAN, f64::NAN, f64::NAN]);
    let mut rows = vec![ours];
    rows.extend(latency(&running, &arrived, 25_000).await?);
    table.add("minos", rows);
    let mut rows = vec![ours];
    rows.extend(latency(&running, &arrived, 5_000).await?);
    table.add("minos, less busy", rows);
    table.print();
    Ok(())
}

/// A producer without a framework: as idempotent, as durable.
async fn bare(kafka: &str) -> crate::Result<f64> {
    let topic = format!("peers-bare-{}", Uuid::now_v7().simple());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
    admin.create_topics([&new], &AdminOptions::new()).await?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "1000000");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    let began = Instant::now();
    for n in 0..WAITING {
        let key = Uuid::now_v7().to_string();
        let payload = format!(r#"{{"balance":{n},"note":"{}"}}"#, note());
        let record = BaseRecord::to(&topic).key(&key).payload(&payload);
        producer.send(record).map_err(|(e, _)| e)?;
    }
    tokio::task::spawn_blocking(move || producer.flush(Duration::from_secs(60))).await??;
    Ok(WAITING as f64 / began.elapsed().as_secs_f64())
}

/// Events that no relay has seen.
async fn fill(url: &str) -> crate::Result<()> {
    let options = postgres::Options {
        schema: "peers".to_owned(),
        ..postgres::Options::default()
    };
    let store = postgres::Store::open(url, options).await?;
    for _ in 0..WAITING / 100 {
        let mut unit = UnitOfWork::new(Uuid::now_v7(), minos::chrono::Utc::now());
        unit.writes = (0..100).map(|_| row()).collect::<crate::Result<_>>()?;
        store.commit(unit).await?;
    }
    store.close().await;
    Ok(())
}

fn row() -> crate::Result<Write> {
    let account = Account {
        balance: 0,
        note: note(),
    };
    Ok(Write {
        stream: StreamId::new("Account", Uuid::now_v7()),
        expected: None,
        events: vec![NewEvent {
            id: Uuid::now_v7(),
            name: "AccountCreated".to_owned(),
            payload: Payload::encode(&account)?,
            headers: Headers::default(),
        }],
        state: Some(Payload::encode(&account)?),
        claims: Vec::new(),
    })
}

/// What has come to a topic, and when.
struct Arrived {
    count: Arc<AtomicUsize>,
    keys: Arc<Mutex<HashMap<String, Instant>>>,
    keep: Arc<AtomicBool>,
    first: Arc<Mutex<Option<Instant>>>,
}

impl Arrived {
    /// Reads from now on, in a thread that ends with the process.
    fn at(kafka: &str, topic: &str) -> Self {
        let arrived = Self {
            count: Arc::default(),
            keys: Arc::default(),
            keep: Arc::default(),
            first: Arc::default(),
        };
        let (count, keys) = (arrived.count.clone(), arrived.keys.clone());
        let (keep, first) = (arrived.keep.clone(), arrived.first.clone());
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", kafka)
            .set("group.id", topic)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "5");
        let topic = topic.to_owned();
        std::thread::spawn(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer of Kafka");
            while !there(&consumer, &topic) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let mut all = TopicPartitionList::new();
            all.add_partition_range(&topic, 0, PARTITIONS - 1);
            all.set_all_offsets(Offset::Beginning).expect("offsets");
            consumer.assign(&all).expect("an assignment");
            loop {
                // Errors are those of partitions that have no leader yet.
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
                    continue;
                };
                let now = Instant::now();
                first.lock().expect("a lock").get_or_insert(now);
                if keep.load(Ordering::Relaxed) {
                    let key = message
                        .key()
                        .map(|k| String::from_utf8_lossy(k).into_owned());
                    keys.lock()
                        .expect("a lock")
                        .insert(key.unwrap_or_default(), now);
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        arrived
    }

    /// Waits for so many; answers how long that took since the first.
    async fn wait(&self, count: usize) -> crate::Result<Duration> {
        let until = Instant::now() + Duration::from_secs(40);
        while self.count.load(Ordering::Relaxed) < count {
            if Instant::now() > until {
                let came = self.count.load(Ordering::Relaxed);
                return Err(format!("{came} of {count} messages came").into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let first = self.first.lock().expect("a lock").ok_or("nothing came")?;
        Ok(first.elapsed())
    }
}

/// Whether the relay has made the topic.
fn there(consumer: &BaseConsumer, topic: &str) -> bool {
    let known = consumer.fetch_metadata(None, Duration::from_secs(5));
    let known = known.expect("the topics of Kafka");
    let it = known.topics().iter().find(|t| t.name() == topic);
    it.is_some_and(|t| t.partitions().len() == PARTITIONS as usize)
}

/// Writes at a pace for some seconds; answers p50 and p99 in milliseconds from the answer of a commit to a consumer,
/// and the pace that was kept.
async fn latency(running: &Arc<Running>, arrived: &Arrived, pace: u64) -> crate::Result<Vec<f64>> {
    let before = arrived.count.load(Ordering::Relaxed);
    arrived.keep.store(true, Ordering::Relaxed);
    let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(pace / AT_ONCE)?);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let began = Instant::now();
    let mut units = tokio::task::JoinSet::new();
    while began.elapsed() < Duration::from_secs(8) {
        tick.tick().await;
        let running = running.clone();
        units.spawn(async move {
            let ids = running
                .unit("peers", |cx| Box::pin(async move { several(cx) }))
                .await;
            ids.map(|ids| (ids, Instant::now()))
        });
    }
    let mut committed = Vec::new();
    while let Some(unit) = units.join_next().await {
        let (ids, at) = unit??;
        committed.extend(ids.into_iter().map(|id| (id.to_string(), at)));
    }
    let kept = committed.len() as f64 / began.elapsed().as_secs_f64();
    arrived.wait(before + committed.len()).await?;
    arrived.keep.store(false, Ordering::Relaxed);
    let keys = std::mem::take(&mut *arrived.keys.lock().expect("a lock"));
    let mut took = Vec::new();
    for (id, at) in &committed {
        let seen = keys.get(id).ok_or("an event did not come")?;
        took.push(seen.saturating_duration_since(*at).as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let at = |share: usize| {
        took.get(took.len() * share / 100)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Ok(vec![at(50), at(99), kept])
}

fn several(cx: &Context) -> Result<Vec<Uuid>> {
    let create = |_| {
        let account = Account {
            balance: 0,
            note: note(),
        };
        Ok(Account::create(cx, account)?.uuid())
    };
    (0..AT_ONCE).map(create).collect()
}
