//! SIGKILL at every persisted moment of the quickstart's sagas: the same end, each effect once.

use std::{collections::BTreeMap, sync::Arc};

use examples_client::{Answer, Client, Result};
use minos::store::{Find, LetterFilter, Position, SagaFilter};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    child::{Services, Start},
    servers::Servers,
    stack::Stack,
};

/// How many scenarios run side by side: they mostly wait.
const SIDE_BY_SIDE: usize = 4;

/// What a scenario leaves behind, counted: lost and doubled effects show.
#[derive(Debug, PartialEq)]
struct End {
    /// Sagas by how they ended.
    sagas: BTreeMap<String, usize>,
    /// Events of both services by name.
    events: BTreeMap<String, usize>,
    /// What the living foobars say.
    foobars: Vec<Value>,
    /// Messages that were given up.
    dead_letters: usize,
}

/// Two services that die once, and a caller that does not give up: its requests carry idempotency keys.
struct Scenario {
    stack: Stack,
    services: Option<Services>,
    fuse: String,
    crash: Option<String>,
}

impl Scenario {
    /// The services, started again if they died.
    async fn services(&mut self) -> Result<&mut Services> {
        while self.services.is_none() {
            match Services::start(&self.stack, "foo,foobar", &self.fuse).await? {
                Start::Ready(services) => self.services = Some(*services),
                Start::Crashed(line) => self.crashed(line)?,
            }
        }
        self.services.as_mut().ok_or_else(|| "no services".into())
    }

    /// Notes where they died; they die once.
    fn crashed(&mut self, line: String) -> Result<()> {
        if !line.starts_with("crash ") || self.crash.is_some() {
            return Err(format!("the services died by themselves: {line}").into());
        }
        self.crash = Some(line);
        self.fuse.clear();
        Ok(())
    }

    /// Sends a request until it is answered.
    async fn call(
        &mut self,
        service: &str,
        key: &str,
        verb: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        loop {
            let client: Client = self
                .services()
                .await?
                .client(service)
                .with_header("idempotency-key", key);
            match client.send(verb, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(e) => {
                    let died = self.services.take().ok_or(e)?;
                    let line = died.crashed().await?;
                    self.crashed(line)?;
                }
            }
        }
    }

    /// Asks until the answer is as wanted.
    async fn until(
        &mut self,
        service: &str,
        path: &str,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
        loop {
            tick.tick().await;
            let answer = self.call(service, "-", "GET", path, None).await?;
            if wanted(&answer) {
                return Ok(answer);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(
                    format!("{path} still answers {answer} (crash: {:?})", self.crash).into(),
                );
            }
        }
    }

    /// Starts the saga and waits for its end.
    async fn add_foobar(
        &mut self,
        uuid: &str,
        something: &str,
        key: &str,
        ends: &str,
    ) -> Result<()> {
        let body = json!({ "uuid": uuid, "something": something });
        let accepted = self
            .call("foo", key, "POST", "/foos/add-foobar", Some(&body))
            .await?;
        assert_eq!(accepted.status, 202, "{accepted}");
        let path = format!("/system/sagas/{}", accepted.text("saga"));
        let ended = ["completed", "compensated", "stuck"];
        let end = self
            .until("foo", &path, |a| ended.contains(&a.text("status")))
            .await?;
        assert_eq!(end.text("status"), ends, "{end} (crash: {:?})", self.crash);
        Ok(())
    }

    async fn run(&mut self) -> Result<End> {
        let created = self
            .call(
                "foo",
                "create",
                "POST",
                "/foos",
                Some(&json!({ "bar": "x" })),
            )
            .await?;
        assert_eq!(created.status, 200, "{created}");
        let uuid = created.text("uuid").to_owned();
        self.add_foobar(&uuid, "hello", "first", "completed")
            .await?;
        // Refused by the other service: nothing to undo.
        self.add_foobar(&uuid, "hello", "second", "compensated")
            .await?;
        // Refused by the local step: the other service's step is undone.
        self.add_foobar(&uuid, "other", "third", "compensated")
            .await?;
        let view = format!("/foos/{uuid}");
        self.until("foo", &view, |a| {
            a.body["version"] == 2 && a.body["foobar"].is_string()
        })
        .await?;
        self.stop().await?;
        self.end().await
    }

    /// Stops the services; if they die on the way, once more.
    async fn stop(&mut self) -> Result<()> {
        loop {
            self.services().await?;
            let mut services = self.services.take().ok_or("no services")?;
            services.signal("TERM").await?;
            if services.wait().await? == Some(0) {
                return Ok(());
            }
            let line = services.crashed().await?;
            self.crashed(line)?;
        }
    }

    /// Counts what is in both stores.
    async fn end(&self) -> Result<End> {
        let mut end = End {
            sagas: BTreeMap::new(),
            events: BTreeMap::new(),
            foobars: Vec::new(),
            dead_letters: 0,
        };
        for service in ["foo", "foobar"] {
            let store = self.stack.store(service).await?;
            for event in store.events(Position::START, 1000).await? {
                *end.events.entry(event.name).or_default() += 1;
            }
            for saga in store
                .sagas(&SagaFilter {
                    limit: 100,
                    ..SagaFilter::default()
                })
                .await?
            {
                *end.sagas.entry(saga.status).or_default() += 1;
            }
            for (_, head) in store.find(&Find::all("FooBar")).await? {
                let state: Value = head.state.ok_or("a dead foobar")?.decode()?;
                end.foobars.push(state["text"].clone());
            }
            end.dead_letters += store.dead_letters(&LetterFilter::all(100)).await?.len();
            store.close().await;
        }
        Ok(end)
    }
}

fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter()
        .map(|(name, n)| ((*name).to_owned(), *n))
        .collect()
}

/// One crash point; answers where it was, or nothing if the scenario ended before it.
async fn one(stack: Stack, fuse: String) -> Result<Option<String>> {
    let mut scenario = Scenario {
        stack,
        services: None,
        fuse: fuse.clone(),
        crash: None,
    };
    let end = scenario
        .run()
        .await
        .map_err(|e| format!("crash point {fuse} ({:?}): {e}", scenario.crash))?;
    let expected = End {
        sagas: counts(&[("completed", 1), ("compensated", 2)]),
        events: counts(&[
            ("FooCreated", 1),
            ("FooUpdated", 1),
            ("FooBarCreated", 2),
            ("FooBarDeleted", 1),
        ]),
        foobars: vec![json!("hello")],
        dead_letters: 0,
    };
    assert_eq!(end, expected, "crash point {fuse} ({:?})", scenario.crash);
    Ok(scenario.crash)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_persisted_moment_changes_nothing() -> Result<()> {
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut running: JoinSet<Result<Option<String>>> = JoinSet::new();
    let mut crashes: BTreeMap<String, usize> = BTreeMap::new();
    let (mut fuse, mut beyond) = (0, 0);
    // Moments differ a little from run to run: the end is reached when several runs in a row did not crash.
    while beyond < SIDE_BY_SIDE {
        let permit = room.clone().acquire_owned().await?;
        while let Some(done) = running.try_join_next() {
            count(done??, &mut crashes, &mut beyond);
        }
        fuse += 1;
        running.spawn(async move {
            let crash = one(Stack::embedded()?, fuse.to_string()).await;
            drop(permit);
            crash
        });
    }
    while let Some(done) = running.join_next().await {
        count(done??, &mut crashes, &mut beyond);
    }
    let total: usize = crashes.values().sum();
    println!("{total} crash points, lost 0, doubled 0:");
    for (place, times) in &crashes {
        println!("  {times:4}  {place}");
    }
    for place in ["commit", "cursor", "publish", "offsets"] {
        for side in ["before", "after"] {
            let place = format!("{side} {place}");
            assert!(
                crashes.keys().any(|c| c.starts_with(&place)),
                "never {place}"
            );
        }
    }
    Ok(())
}

/// Every message of the sagas, and every transition of them.
fn transitions() -> Vec<String> {
    let messages = [
        "Command CreateFooBar",
        "Reply CreateFooBar",
        "Command DeleteFooBar",
        "Reply DeleteFooBar",
    ];
    let messages = messages.iter().map(|message| format!("publish {message}"));
    let commits = (1..=4).map(|version| format!("commit AddFooBar {version}"));
    let both = |place: String| ["before", "after"].map(|side| format!("{side} {place}"));
    messages.chain(commits).flat_map(both).collect()
}

/// The counted moments above differ from run to run; these are hit for certain.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_transition_of_a_saga_changes_nothing() -> Result<()> {
    let at = |place| async move { one(Stack::embedded()?, place).await };
    every_transition("sqlite,local", at).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_transition_of_a_saga_changes_nothing_on_servers() -> Result<()> {
    let servers = Arc::new(Servers::start().await?);
    let at = |place| {
        let servers = servers.clone();
        async move {
            let stack = Stack::behind(&servers, &["foo", "foobar"]).await?;
            one(stack, place).await
        }
    };
    every_transition("postgres,kafka", at).await
}

async fn every_transition<F>(stack: &str, at: impl Fn(String) -> F) -> Result<()>
where
    F: Future<Output = Result<Option<String>>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut running: JoinSet<Result<()>> = JoinSet::new();
    let places = transitions();
    let count = places.len();
    for place in places {
        let (room, crash) = (room.clone(), at(place.clone()));
        running.spawn(async move {
            let _permit = room.acquire_owned().await?;
            match crash.await? {
                Some(line) if line.contains(&place) => Ok(()),
                other => Err(format!("no crash {place}, but {other:?}").into()),
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    println!("{stack}: killed at {count} transitions, lost 0, doubled 0");
    Ok(())
}

/// Notes one crash by its place, without its number.
fn count(crash: Option<String>, crashes: &mut BTreeMap<String, usize>, beyond: &mut usize) {
    match crash {
        Some(line) => {
            let place = line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
            *crashes.entry(place).or_default() += 1;
        }
        None => *beyond += 1,
    }
}
