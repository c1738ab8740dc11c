//! Constant load on the bank, and the count of what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use examples_client::{Client, Result};
use minos::store::{Find, LetterFilter, Position, SagaFilter, Store};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{child::Services, stack::Stack};

/// Clients at once.
const WORKERS: usize = 8;
/// Each of them asks no more often than this: as much as two instances of a debug build can bear, so that what is
/// measured is what a fault holds up, and not an overload.
const PACE: Duration = Duration::from_millis(80);
/// Accounts that take deposits; some more do not.
const OPEN: usize = 12;
const CLOSED: usize = 3;
/// What is in each at first.
const MONEY: i64 = 1000;
/// How long nothing may happen: one request without an answer over all its repetitions, or effects that are still
/// missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the services can be reached; faults change it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeMap<(String, usize), Client>>>);

impl Doors {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, usize), Client>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The services of one instance can be reached here.
    pub(crate) fn open(&self, instance: usize, services: &Services) {
        for (name, client) in services.clients() {
            self.all().insert((name, instance), client);
        }
    }

    /// One instance is gone.
    pub(crate) fn close(&self, instance: usize) {
        self.all().retain(|(_, at), _| *at != instance);
    }

    fn any(&self, service: &str) -> Option<Client> {
        let all = self.all();
        let fit: Vec<_> = all
            .iter()
            .filter(|((name, _), _)| name == service)
            .collect();
        (!fit.is_empty()).then(|| fit[fastrand::usize(..fit.len())].1.clone())
    }

    /// Sends a request until it is answered: what it asks for happens once, whatever happens to the services.
    pub(crate) async fn call(&self, service: &str, path: &str, body: &Value) -> Result<Value> {
        let key = Uuid::new_v4().to_string();
        let deadline = Instant::now() + PATIENCE;
        let mut last = "nobody listens".to_owned();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while Instant::now() < deadline {
            if let Some(client) = self.any(service) {
                let client = client.with_header("idempotency-key", &key);
                match client.post(path, body).await {
                    Ok(answer) if answer.status < 300 => return Ok(answer.body),
                    Ok(answer) if answer.status < 500 && answer.status != 409 => {
                        return Err(format!("POST {path}: {answer}").into());
                    }
                    Ok(answer) => last = answer.to_string(),
                    Err(e) => last = e.to_string(),
                }
            }
            tick.tick().await;
        }
        Err(format!(
            "POST {path} has no answer after {} s: {last}",
            PATIENCE.as_secs()
        )
        .into())
    }
}

/// What was asked for and answered.
#[derive(Debug, Default)]
pub(crate) struct Done {
    accounts: usize,
    payments: Vec<Uuid>,
    transfers: Vec<Uuid>,
}

/// Clients that pay and transfer until they are told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    accounts: usize,
    tasks: JoinSet<Result<Done>>,
    enough: watch::Sender<bool>,
    answered: watch::Sender<usize>,
}

impl Load {
    /// Opens the accounts and starts the clients.
    pub(crate) async fn start(doors: &Doors) -> Result<Self> {
        let (mut open, mut all) = (Vec::new(), Vec::new());
        for n in 0..OPEN + CLOSED {
            let body = json!({ "balance": MONEY, "closed": n >= OPEN });
            let made = doors.call("accounts", "/accounts", &body).await?;
            let uuid: Uuid = made["uuid"].as_str().ok_or("no uuid")?.parse()?;
            all.push(uuid);
            if n < OPEN {
                open.push(uuid);
            }
        }
        let mut load = Self {
            accounts: all.len(),
            tasks: JoinSet::new(),
            enough: watch::Sender::new(false),
            answered: watch::Sender::new(0),
        };
        for _ in 0..WORKERS {
            let (doors, open, all) = (doors.clone(), open.clone(), all.clone());
            let (enough, answered) = (load.enough.subscribe(), load.answered.clone());
            load.tasks.spawn(async move {
                let mut done = Done::default();
                let mut pace = tokio::time::interval(PACE);
                while !*enough.borrow() {
                    pace.tick().await;
                    let from = open[fastrand::usize(..open.len())];
                    let others: Vec<_> = all.iter().filter(|a| **a != from).collect();
                    let to = others[fastrand::usize(..others.len())];
                    let id = Uuid::new_v4();
                    let body =
                        json!({ "id": id, "from": from, "to": to, "amount": fastrand::i64(1..50) });
                    if fastrand::u8(..4) == 0 {
                        doors.call("audit", "/transfers", &body).await?;
                        done.transfers.push(id);
                    } else {
                        doors.call("accounts", "/payments", &body).await?;
                        done.payments.push(id);
                    }
                    answered.send_modify(|n| *n += 1);
                }
                Ok(done)
            });
        }
        Ok(load)
    }

    /// Waits until so many more requests were answered.
    pub(crate) async fn more(&self, n: usize) -> Result<()> {
        let mut answered = self.answered.subscribe();
        let goal = *answered.borrow() + n;
        let reached = answered.wait_for(|now| *now >= goal);
        tokio::time::timeout(PATIENCE, reached)
            .await
            .map_err(|_| format!("the load stands still below {goal} answers"))??;
        Ok(())
    }

    /// Stops the clients; answers what they did.
    pub(crate) async fn finish(mut self) -> Result<Done> {
        self.enough.send_replace(true);
        let mut done = Done {
            accounts: self.accounts,
            ..Done::default()
        };
        while let Some(of) = self.tasks.join_next().await {
            let of = of??;
            done.payments.extend(of.payments);
            done.transfers.extend(of.transfers);
        }
        Ok(done)
    }
}

impl Done {
    /// Waits until all that follows from the requests has happened, or nothing more does; counts it, and answers how
    /// long that took.
    pub(crate) async fn count(&self, stack: &Stack) -> Result<(Effects, Duration)> {
        let began = Instant::now();
        let (accounts, audit) = (stack.store("accounts").await?, stack.store("audit").await?);
        let mut deadline = Instant::now() + PATIENCE;
        let mut before = Effects::default();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let effects = loop {
            tick.tick().await;
            let effects = Effects::now(&*accounts, &*audit, self).await?;
            if effects.is_whole() || Instant::now() > deadline {
                break effects;
            }
            if effects != before {
                deadline = Instant::now() + PATIENCE;
                before = effects;
            }
        };
        accounts.close().await;
        audit.close().await;
        Ok((effects, began.elapsed()))
    }
}

/// One kind of effect.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    expected: u64,
    lost: u64,
    doubled: u64,
}

impl Count {
    pub(crate) fn add(&mut self, expected: u64, found: u64) {
        self.expected += expected;
        self.lost += expected.saturating_sub(found);
        self.doubled += found.saturating_sub(expected);
    }

    pub(crate) fn is_whole(self) -> bool {
        self.lost == 0 && self.doubled == 0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} -{} +{}", self.expected, self.lost, self.doubled);
        f.pad(&text)
    }
}

/// What came of the load.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    requests: usize,
    events: Count,
    projections: Count,
    messages: Count,
    sagas: Count,
    /// What was parked, the first of it.
    dead_letters: Vec<String>,
    /// Whether all the money is there.
    balanced: bool,
    /// Events of one aggregate out of order.
    disorder: usize,
}

impl Effects {
    async fn now(accounts: &dyn Store, audit: &dyn Store, done: &Done) -> Result<Self> {
        let mut effects = Self {
            requests: done.payments.len() + done.transfers.len(),
            ..Self::default()
        };
        // A payment changes two accounts; so does a transfer, or one account twice if it is undone.
        let changes = 2 * effects.requests + done.accounts;
        let versions = versions(accounts, &mut effects.disorder).await?;
        effects.events.add(changes as u64, versions.values().sum());
        for (store, view) in [(accounts, "Statement"), (audit, "Watched")] {
            let rows = rows(store, view).await?;
            for (account, version) in &versions {
                let seen = rows.get(account).copied().unwrap_or(0);
                effects.projections.add(*version, seen);
            }
        }
        let mut sum = 0;
        for (_, head) in accounts.find(&Find::all("Account")).await? {
            let state: Value = head.state.ok_or("a deleted account")?.decode()?;
            sum += state["balance"].as_i64().ok_or("no balance")?;
        }
        effects.balanced = sum == MONEY * i64::try_from(done.accounts)?;

        let mut entries: BTreeMap<String, u64> = BTreeMap::new();
        for (_, head) in audit.find(&everything("Entry")).await? {
            let state: Value = head.state.ok_or("a deleted entry")?.decode()?;
            let of = state["of"].as_str().ok_or("no id")?.to_owned();
            *entries.entry(of).or_default() += 1;
        }
        for payment in &done.payments {
            let found = entries.get(&payment.to_string()).copied().unwrap_or(0);
            effects.messages.add(1, found);
        }
        let all = SagaFilter {
            limit: u32::MAX,
            ..SagaFilter::default()
        };
        let mut ended: BTreeMap<String, u64> = BTreeMap::new();
        let mut completed = BTreeSet::new();
        for saga in audit.sagas(&all).await? {
            let body: Value = saga.body.decode()?;
            let id = body["state"]["id"]
                .as_str()
                .ok_or("no id in a saga")?
                .to_owned();
            match saga.status.as_str() {
                "completed" => {
                    completed.insert(id.clone());
                    *ended.entry(id).or_default() += 1;
                }
                "compensated" => *ended.entry(id).or_default() += 1,
                _ => {}
            }
        }
        for transfer in done.transfers.iter().map(Uuid::to_string) {
            effects
                .sagas
                .add(1, ended.get(&transfer).copied().unwrap_or(0));
            let booked = u64::from(completed.contains(&transfer));
            let found = entries.get(&transfer).copied().unwrap_or(0);
            effects.sagas.add(booked, found);
        }
        for store in [accounts, audit] {
            for (_, letter) in store.dead_letters(&LetterFilter::all(10)).await? {
                effects.dead_letters.push(format!(
                    "{} for {} of {} at {}: {:?}, {}",
                    letter.message.name,
                    letter.consumer,
                    letter.key,
                    letter.at,
                    letter.reason,
                    letter.error
                ));
            }
        }
        Ok(effects)
    }

    /// Nothing lost, nothing doubled, nothing out of order.
    pub(crate) fn is_whole(&self) -> bool {
        let counts = [self.events, self.projections, self.messages, self.sagas];
        counts.into_iter().all(Count::is_whole)
            && self.balanced
            && self.dead_letters.is_empty()
            && self.disorder == 0
    }
}

/// The heading of the rows below.
pub(crate) fn heading() -> String {
    format!(
        "{:<44} {:<15} {:>8} {:>16} {:>16} {:>16} {:>16} {:>8} {:>8} {:>9}",
        "fault (effects: expected -lost +doubled)",
        "stack",
        "requests",
        "events",
        "projections",
        "messages",
        "sagas",
        "balanced",
        "disorder",
        "whole in"
    )
}

impl Effects {
    /// One row of the table.
    pub(crate) fn row(&self, fault: &str, stack: &str) -> String {
        let mut row = String::new();
        write!(
            row,
            "{fault:<44} {stack:<15} {:>8} {:>16} {:>16} {:>16} {:>16} {:>8} {:>8}",
            self.requests,
            self.events,
            self.projections,
            self.messages,
            self.sagas,
            self.balanced,
            self.disorder
        )
        .ok();
        row
    }

    /// Prints the row, and fails unless nothing was lost or doubled.
    pub(crate) fn report(&self, fault: &str, stack: &Stack, waited: Duration) -> Result<()> {
        let row = self.row(fault, stack.name());
        tell(&format!("{row} {:>7.1} s", waited.as_secs_f64()));
        self.check()
    }

    /// Fails unless nothing was lost or doubled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        Err(format!("lost or doubled: {self:?}").into())
    }
}

/// Prints a line that the test harness does not swallow.
pub(crate) fn tell(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}

pub(crate) fn everything(aggregate: &str) -> Find {
    Find {
        limit: u32::MAX,
        ..Find::all(aggregate)
    }
}

/// The versions of all accounts; counts events that do not follow the one before.
async fn versions(store: &dyn Store, disorder: &mut usize) -> Result<BTreeMap<String, u64>> {
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut at = Position::START;
    loop {
        let events = store.events(at, 1000).await?;
        let Some(last) = events.last() else {
            return Ok(versions);
        };
        at = last.position;
        for event in events {
            let version = versions.entry(event.stream.id.to_string()).or_default();
            *disorder += usize::from(event.version != *version + 1);
            *version = event.version;
        }
    }
}

/// How many events each account has in a view.
async fn rows(store: &dyn Store, view: &str) -> Result<BTreeMap<String, u64>> {
    let mut rows = BTreeMap::new();
    for (_, row) in store.find_views(&everything(view)).await? {
        let row: Value = row.decode()?;
        let uuid = row["uuid"].as_str().ok_or("no uuid")?.to_owned();
        rows.insert(uuid, row["events"].as_u64().ok_or("no count")?);
    }
    Ok(rows)
}
