//! What happens to events that a handler cannot bear, and what operators make of it.

use std::time::Duration;

use examples_client::{Answer, Client, Result};
use minos::{
    Builder, Decision, Running,
    config::Config,
    sqlx::{AssertSqlSafe, Connection, Executor, PgConnection},
    store::{LetterFilter, Reason},
};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::SICK;

const TOKEN: &str = "token-for-operators-of-tests";
const LETTERS: &str = "/system/dead-letters";

/// The counters of one service, the ward that follows them, and an operator.
struct Stack {
    running: Running,
    counters: Client,
    ward: Client,
    operator: Client,
}

impl Stack {
    async fn start(config: Config) -> Result<Self> {
        let config = config
            .set("http.bind", "127.0.0.1:0")?
            .set("http.operator_token", TOKEN)?
            .set("runtime.retries", "1")?;
        let running = Builder::new([minos_tests::service(), crate::service()])
            .config(config)
            .start()
            .await?;
        running.ready(Duration::from_secs(30)).await?;
        let client = |name| running.url(name).map(Client::new).ok_or("no door");
        let (counters, ward) = (client("trial")?, client("ward")?);
        let operator = ward
            .clone()
            .with_header("authorization", &format!("Bearer {TOKEN}"));
        Ok(Self {
            running,
            counters,
            ward,
            operator,
        })
    }

    /// A counter, and whether the frail handler can bear it.
    async fn counter(&self, sick: bool) -> Result<Uuid> {
        let created = self.counters.post("/counters", &json!({})).await?;
        let uuid = created.text("uuid").parse()?;
        if sick {
            SICK.lock().map_err(|e| e.to_string())?.insert(uuid);
        }
        Ok(uuid)
    }

    async fn increment(&self, uuid: Uuid) -> Result<()> {
        let path = format!("/counters/{uuid}/increment");
        let answer = self.counters.send("POST", &path, None).await?;
        assert_eq!(answer.status, 200, "{answer}");
        Ok(())
    }

    /// Waits until the handlers saw these versions, in this order.
    async fn saw(&self, uuid: Uuid, frail: &[u64], robust: &[u64]) -> Result<()> {
        let wanted = json!({ "frail": frail, "robust": robust });
        let path = format!("/seen/{uuid}");
        self.ward.until(&path, |a| a.body == wanted).await.map(drop)
    }

    /// Waits until so many letters fit.
    async fn letters(&self, query: &str, count: usize) -> Result<Vec<Value>> {
        let path = format!("{LETTERS}?{query}");
        let fits = |a: &Answer| a.body["dead_letters"].as_array().map(Vec::len) == Some(count);
        let answer = self.operator.until(&path, fits).await?;
        let letters = answer.body["dead_letters"].as_array();
        Ok(letters.cloned().unwrap_or_default())
    }

    async fn decide(&self, path: &str, why: &str) -> Result<Answer> {
        let body = json!({ "by": "alice", "reason": why });
        self.operator.post(&format!("{LETTERS}{path}"), &body).await
    }
}

fn cured(uuid: Uuid) {
    if let Ok(mut sick) = SICK.lock() {
        sick.remove(&uuid);
    }
}

async fn story(config: Config) -> Result<Stack> {
    let stack = Stack::start(config).await?;
    poison_parks_its_aggregate_for_its_handler_alone(&stack).await?;
    many_are_replayed_by_filter(&stack).await?;
    a_discarded_one_is_remembered(&stack).await?;
    let all = stack.operator.get(LETTERS).await?;
    assert_eq!(all.body["dead_letters"], json!([]), "{all}");
    Ok(stack)
}

async fn poison_parks_its_aggregate_for_its_handler_alone(stack: &Stack) -> Result<()> {
    let (sick, well) = (stack.counter(true).await?, stack.counter(false).await?);
    for _ in 0..3 {
        stack.increment(sick).await?;
        stack.increment(well).await?;
    }
    // The sibling saw everything once, the frail one everything of the other counter.
    stack.saw(sick, &[], &[2, 3, 4]).await?;
    stack.saw(well, &[2, 3, 4], &[2, 3, 4]).await?;
    let letters = stack.letters(&format!("key=Counter/{sick}"), 3).await?;
    let shown: Vec<_> = letters
        .iter()
        .map(|l| {
            (
                l["consumer"].clone(),
                l["reason"].clone(),
                l["message"]["version"].clone(),
            )
        })
        .collect();
    let wanted = [("failed", 2), ("behind", 3), ("behind", 4)];
    let wanted = wanted.map(|(reason, n)| (json!("Ward.frail"), json!(reason), json!(n)));
    assert_eq!(shown, wanted);

    // Nobody but an operator sees any of it.
    let id = letters[0]["id"].as_str().ok_or("no id")?;
    for path in [LETTERS, &format!("{LETTERS}/{id}")] {
        assert_eq!(stack.ward.get(path).await?.status, 403);
    }
    for what in ["replay", "discard"] {
        for path in [
            format!("{LETTERS}/{id}/{what}"),
            format!("{LETTERS}/{what}"),
        ] {
            let body = json!({ "by": "mallory", "reason": "why not" });
            assert_eq!(stack.ward.post(&path, &body).await?.status, 403);
        }
    }
    let shown = stack.operator.get(&format!("{LETTERS}/{id}")).await?;
    assert_eq!(shown.body["attempts"], 2, "{shown}");
    assert_eq!(shown.body["history"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown.body["payload"], json!({ "value": 1 }));
    assert_eq!(shown.body["origin"]["topic"], "Counter");

    // Through the library, while it is still poison: it stays where it is.
    let library = stack.running.dead_letters("ward")?;
    let early = Decision::by("bob").because("perhaps");
    let report = library.replay(id.parse()?, &early).await?;
    assert_eq!((report.done.len(), report.failed.len()), (0, 1));
    stack.saw(sick, &[], &[2, 3, 4]).await?;

    cured(sick);
    let replayed = stack.decide(&format!("/{id}/replay"), "fixed").await?;
    assert_eq!(replayed.status, 200, "{replayed}");
    assert_eq!(replayed.body["done"].as_array().map(Vec::len), Some(3));
    stack.saw(sick, &[2, 3, 4], &[2, 3, 4]).await?;
    // It goes on as if nothing had been.
    stack.increment(sick).await?;
    stack.saw(sick, &[2, 3, 4, 5], &[2, 3, 4, 5]).await
}

async fn many_are_replayed_by_filter(stack: &Stack) -> Result<()> {
    let (a, b) = (stack.counter(true).await?, stack.counter(true).await?);
    let other = stack.counter(true).await?;
    for uuid in [a, b, other] {
        stack.increment(uuid).await?;
    }
    stack.increment(b).await?;
    stack.letters("consumer=Ward.frail", 4).await?;
    cured(a);
    cured(b);
    let filter = "/replay?consumer=Ward.frail&topic=Counter&kind=event&reason=failed";
    let report = stack.decide(filter, "fixed").await?;
    assert_eq!(report.status, 200, "{report}");
    assert_eq!(report.body["done"].as_array().map(Vec::len), Some(3));
    assert_eq!(report.body["failed"].as_array().map(Vec::len), Some(1));
    stack.saw(a, &[2], &[2]).await?;
    stack.saw(b, &[2, 3], &[2, 3]).await?;
    stack.saw(other, &[], &[2]).await?;
    cured(other);
    let library = stack.running.dead_letters("ward")?;
    let filter = LetterFilter::of("Ward.frail", 10);
    let fixed = Decision::by("bob").because("fixed, too");
    let report = library.replay_all(&filter, &fixed).await?;
    assert_eq!(report.done.len(), 1);
    stack.saw(other, &[2], &[2]).await
}

async fn a_discarded_one_is_remembered(stack: &Stack) -> Result<()> {
    let sick = stack.counter(true).await?;
    for _ in 0..2 {
        stack.increment(sick).await?;
    }
    let letters = stack.letters(&format!("key=Counter/{sick}"), 2).await?;
    let id = letters[0]["id"].as_str().ok_or("no id")?;
    let path = format!("/{id}/discard");
    assert_eq!(stack.decide(&path, " ").await?.status, 400);
    let discarded = stack.decide(&path, "nobody needs it").await?;
    assert_eq!(discarded.status, 200, "{discarded}");
    assert_eq!(discarded.body["done"].as_array().map(Vec::len), Some(2));
    // What queued behind it went on.
    stack.saw(sick, &[3], &[2, 3]).await?;
    let library = stack.running.dead_letters("ward")?;
    let kept = library.operations(Some(id.parse()?), 10).await?;
    let kept: Vec<_> = kept.iter().map(|o| (&*o.what, &*o.by, &*o.why)).collect();
    assert_eq!(kept, [("discarded", "alice", "nobody needs it")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_stack() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = folder.path().display();
    let config = Config::default()
        .set("database.url", &format!("sqlite://{at}/{{service}}.db"))?
        .set("broker.url", &format!("local://{at}/broker.db"))?;
    story(config).await?.running.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_and_kafka_with_bytes_that_are_no_message() -> Result<()> {
    let (postgres, kafka) = (server("MINOS_TEST_POSTGRES")?, server("MINOS_TEST_KAFKA")?);
    let name = format!("letters_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&postgres).await?;
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    connection.execute(AssertSqlSafe(create)).await?;
    let (place, _) = postgres.rsplit_once('/').ok_or("no database in the URL")?;
    let config = Config::default()
        .set("database.url", &format!("{place}/{name}"))?
        .set("broker.url", &format!("kafka://{kafka}"))?
        .set("broker.prefix", &format!("{name}."))?;
    let stack = story(config).await?;

    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &kafka)
        .create()?;
    let topic = format!("{name}.Counter");
    let bytes: &[u8] = &[0xff, 0x00, b'?'];
    let record = FutureRecord::<(), _>::to(&topic).payload(bytes);
    let sent = producer.send(record, Duration::from_secs(10)).await;
    let sent = sent.map_err(|(e, _)| e)?;
    // Its partition goes on.
    let counter = stack.counter(false).await?;
    stack.increment(counter).await?;
    stack.saw(counter, &[2], &[2]).await?;
    let letters = stack.letters("reason=undecodable", 1).await?;
    let wanted = json!({ "topic": "Counter", "partition": sent.partition, "offset": sent.offset });
    assert_eq!(letters[0]["origin"], wanted, "{}", letters[0]);
    let id: Uuid = letters[0]["id"].as_str().ok_or("no id")?.parse()?;
    let shown = stack.operator.get(&format!("{LETTERS}/{id}")).await?;
    assert!(!shown.text("bytes").is_empty(), "{shown}");
    let library = stack.running.dead_letters("ward")?;
    let letter = library.get(id).await?;
    assert_eq!(letter.reason, Reason::Undecodable);
    let kept: Value = serde_json::from_slice(&letter.bytes.unwrap_or_default())?;
    assert_eq!(
        (&kept["key"], &kept["value"]),
        (&Value::Null, &json!(bytes))
    );
    // They are read anew, and are still no message.
    let report = stack.decide(&format!("/{id}/replay"), "perhaps").await?;
    assert_eq!(report.body["failed"][0]["letter"], json!(id), "{report}");
    let gone = stack.decide("/discard?reason=undecodable", "noise").await?;
    assert_eq!(gone.body["done"], json!([id]), "{gone}");
    stack.running.stop().await?;
    Ok(())
}

fn server(variable: &str) -> Result<String> {
    std::env::var(variable).map_err(|_| {
        let text = "is not set: run `scripts/services up` and `eval \"$(scripts/services env)\"`";
        format!("{variable} {text}").into()
    })
}
