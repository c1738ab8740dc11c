//! A thousand sagas open at once over two instances, of which one is killed again and again: all end, each step is
//! done once, and what the killed one was moving is taken over within the leases.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bank_audit::settlement::Settlement;
use examples_client::Result;
use minos::{
    saga::SagaId,
    store::{LetterFilter, SagaFilter, SagaRow, Store},
};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::{
    child::Services,
    load::{Count, Doors, everything, tell},
    servers::Servers,
    stack::Stack,
};

/// How many sagas are open at once.
const OPEN: usize = 1000;
/// How many one request opens, or lets go.
const AT_ONCE: usize = 50;
/// How many are on their way when an instance is killed.
const ON_THEIR_WAY: usize = 200;
/// Which instance is killed. The one that started last has the relay, so each dies once with it and once without.
const KILLS: [usize; 4] = [1, 0, 0, 1];
/// How long nothing may happen that must happen; only a machine that has more to do than this comes near.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the instance that is left needs for what lies before it when it has taken over.
const WORK: Duration = Duration::from_secs(5);

/// How long a saga may stand still when the instance that moved it is gone, by what it waits for. Each of these runs
/// from the kill on, but a saga may need one after the other.
fn leases(session: Duration, told: Duration) -> Duration {
    // Another instance's cursor stands still: seen at the relay's next look, taken after its patience.
    let relay = Duration::from_millis(200) + Duration::from_secs(1);
    // A local step of another instance's: seen at the next look, taken after that one's first go.
    let due = Duration::from_millis(500) + Duration::from_millis(250);
    // Replies and commands on its partitions: free at the end of its session, taken when the others are told.
    session + told + relay + due
}

/// Two instances, and the settlements that they have under way.
struct Flight {
    stack: Stack,
    doors: Doors,
    instances: Vec<Services>,
    audit: Arc<dyn Store>,
    accounts: Arc<dyn Store>,
    ids: Vec<Uuid>,
    let_go: usize,
}

impl Flight {
    async fn start(stack: Stack) -> Result<Self> {
        let doors = Doors::default();
        let mut instances = Vec::new();
        for n in 0..2 {
            instances.push(Services::running(&stack, "accounts,audit").await?);
            doors.open(n, &instances[n]);
        }
        Ok(Self {
            audit: stack.store("audit").await?,
            accounts: stack.store("accounts").await?,
            ids: (0..OPEN).map(|_| Uuid::new_v4()).collect(),
            let_go: 0,
            stack,
            doors,
            instances,
        })
    }

    /// Opens all of them; answers how many were open at once.
    async fn open(&self) -> Result<usize> {
        for some in self.ids.chunks(AT_ONCE) {
            let body = json!({ "ids": some });
            self.doors.call("audit", "/settlements", &body).await?;
        }
        let what = "all of them wait to be let go";
        until(what, async || {
            let under_way = self.under_way().await?;
            let waiting = under_way.iter().map(waits).collect::<Result<Vec<_>>>()?;
            let all = waiting.len() == OPEN && waiting.into_iter().all(|waits| waits);
            Ok(all.then_some(under_way.len()))
        })
        .await
    }

    async fn under_way(&self) -> Result<Vec<SagaRow>> {
        let filter = SagaFilter {
            status: Some("running".to_owned()),
            name: Some("Settlement".to_owned()),
            limit: u32::MAX,
        };
        Ok(self.audit.sagas(&filter).await?)
    }

    async fn let_go(&mut self, n: usize) -> Result<()> {
        let end = OPEN.min(self.let_go + n);
        for some in self.ids[self.let_go..end].chunks(AT_ONCE) {
            let body = json!({ "ids": some });
            self.doors.call("audit", "/settlements/pay", &body).await?;
        }
        self.let_go = end;
        Ok(())
    }

    /// The versions of those that were let go and have not ended.
    async fn on_their_way(&self) -> Result<BTreeMap<Uuid, u64>> {
        let of = |id: &Uuid| SagaId::of::<Settlement>(id).saga;
        let gone: BTreeSet<Uuid> = self.ids[..self.let_go].iter().map(of).collect();
        let rows = self.under_way().await?.into_iter();
        let on_their_way = rows.filter(|row| gone.contains(&row.id));
        Ok(on_their_way.map(|row| (row.id, row.version)).collect())
    }

    /// Kills an instance while sagas are on their way; answers how long each of them stood still. The instance is
    /// started again when all have moved: until then the other one is alone.
    async fn kill(&mut self, n: usize) -> Result<Vec<Duration>> {
        self.let_go(ON_THEIR_WAY).await?;
        until("some of them end", async || {
            let left = self.on_their_way().await?.len();
            Ok((left < ON_THEIR_WAY).then_some(()))
        })
        .await?;
        let killed = Instant::now();
        self.instances[n].signal("KILL").await?;
        self.doors.close(n);
        self.instances[n].wait().await?;
        let mut still = self.on_their_way().await?;
        let mut stood = Vec::new();
        until("what stood still moves on", async || {
            let now = self.on_their_way().await?;
            let before = still.len();
            still.retain(|id, version| now.get(id) == Some(version));
            stood.extend(vec![killed.elapsed(); before - still.len()]);
            Ok(still.is_empty().then_some(()))
        })
        .await?;
        self.instances[n] = Services::running(&self.stack, "accounts,audit").await?;
        self.doors.open(n, &self.instances[n]);
        Ok(stood)
    }

    /// Waits until all have ended; answers how many completed, the effects of their steps, and the dead letters.
    async fn end(&mut self) -> Result<(usize, Count, usize)> {
        self.let_go(OPEN).await?;
        until("all of them end", async || {
            let left = self.under_way().await?.len();
            Ok((left == 0).then_some(()))
        })
        .await?;
        let completed = SagaFilter {
            status: Some("completed".to_owned()),
            name: Some("Settlement".to_owned()),
            limit: u32::MAX,
        };
        let completed = self.audit.sagas(&completed).await?.len();
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (store, aggregate) in [(&self.accounts, "Posting"), (&self.audit, "Entry")] {
            for (_, head) in store.find(&everything(aggregate)).await? {
                let state: Value = head.state.ok_or("a deleted effect")?.decode()?;
                let of = state["of"].as_str().ok_or("no id")?.to_owned();
                *found.entry((of, state["side"].to_string())).or_default() += 1;
            }
        }
        let mut steps = Count::default();
        for id in &self.ids {
            for side in [json!("Held"), json!("Paid"), Value::Null] {
                let this = (id.to_string(), side.to_string());
                steps.add(1, found.remove(&this).unwrap_or(0));
            }
        }
        // What nobody asked for.
        steps.add(0, found.values().sum());
        let letters = LetterFilter::all(100);
        let letters = self.accounts.dead_letters(&letters).await?.len()
            + self.audit.dead_letters(&letters).await?.len();
        Ok((completed, steps, letters))
    }
}

/// Whether a saga waits to be let go.
fn waits(row: &SagaRow) -> Result<bool> {
    let body: Value = row.body.decode()?;
    Ok(body["execution"]["waiting"] == "signal")
}

/// Looks until there is an answer.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < deadline {
        tick.tick().await;
        if let Some(answer) = look().await? {
            return Ok(answer);
        }
    }
    Err(format!("waited {} s in vain until {what}", PATIENCE.as_secs()).into())
}

/// Kills at this pace; prints what came of it.
async fn flight(stack: Stack, every: Duration, leases: Duration) -> Result<()> {
    let bound = leases + WORK;
    let mut flight = Flight::start(stack).await?;
    let began = Instant::now();
    let open = flight.open().await?;
    let mut stood = Vec::new();
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in KILLS {
        pace.tick().await;
        let kill = flight.kill(n).await?;
        assert!(!kill.is_empty(), "nothing was on its way at a kill");
        stood.extend(kill);
    }
    let (completed, steps, letters) = flight.end().await?;
    stood.sort();
    let (most, half) = (stood[stood.len() - 1], stood[stood.len() / 2]);
    tell(&format!(
        "{:<44} {:<15} {:>6} {:>6} {:>16} {:>6} {:>10.1?} {:>10.1?} {:>10.1?} {:>8.1} s",
        format!("{open} sagas in flight, {} kills", KILLS.len()),
        flight.stack.name(),
        completed,
        letters,
        steps,
        stood.len(),
        half,
        most,
        bound,
        began.elapsed().as_secs_f64()
    ));
    assert_eq!(open, OPEN);
    assert_eq!((completed, letters), (OPEN, 0));
    assert!(steps.is_whole(), "steps lost or doubled: {steps}");
    assert!(
        most < bound,
        "a saga stood still for {most:?}, {bound:?} are the bound"
    );
    for services in &mut flight.instances {
        services.signal("TERM").await?;
        assert_eq!(services.wait().await?, Some(0));
    }
    flight.accounts.close().await;
    flight.audit.close().await;
    Ok(())
}

fn heading() -> String {
    format!(
        "{:<44} {:<15} {:>6} {:>6} {:>16} {:>6} {:>10} {:>10} {:>10} {:>10}",
        "(steps: expected -lost +doubled)",
        "stack",
        "ended",
        "parked",
        "steps",
        "moving",
        "still, p50",
        "most",
        "bound",
        "took"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sagas_outlive_the_kills_of_their_instances() -> Result<()> {
    let servers = Servers::start().await?;
    tell(&heading());
    let stack = Stack::behind(&servers, &["accounts", "audit"]).await?;
    let leases = leases(Duration::from_secs(2), Duration::from_millis(500));
    flight(stack, Duration::from_secs(15), leases).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sagas_outlive_the_kills_of_their_instances_on_files() -> Result<()> {
    tell(&heading());
    // A lease that a busy machine does not lose.
    let stack = Stack::embedded()?.with("MINOS_BROKER_LEASE", "2s");
    let leases = leases(Duration::from_secs(2), Duration::from_millis(50));
    flight(stack, Duration::from_secs(5), leases).await
}
