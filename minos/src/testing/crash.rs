//! One saga, once per moment at which something becomes durable: killed there, started again, and compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::observed::{Moment, ObservedBroker, ObservedStore, Observer};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    context::Context,
    enroute::{BoxFuture, Service},
    error::{Error, Kind, Result},
    message::Contract,
    payload::Payload,
    saga::{ENDED, Saga, SagaId},
    service::{Builder, Running},
    store::{LetterFilter, Position, SagaFilter},
};

/// How long one run, with its crash, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing may happen until nothing is under way.
const QUIET: Duration = Duration::from_millis(40);
/// The same before time is let pass, unless the test says how long: what was sent must not come too late because the
/// machine was busy.
const STILL: Duration = Duration::from_millis(250);
/// How many runs go on at once.
const AT_ONCE: usize = 4;
const LOOK: Duration = Duration::from_millis(5);

/// A saga to be killed at each of its moments. `#[minos::crash_test]` makes one from the saga that a function returns.
pub struct CrashTest<S> {
    make: Make<S>,
    signals: Vec<(&'static str, Payload)>,
    config: Configure,
    still: Duration,
    every: usize,
}

/// Makes a saga in the unit of work that starts it.
type Make<S> = Arc<dyn for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<S>> + Send + Sync>;
type Configure = Arc<dyn Fn(&str) -> Result<Config> + Send + Sync>;

impl<S> fmt::Debug for CrashTest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashTest")
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

impl<S: Saga> From<S> for CrashTest<S> {
    fn from(state: S) -> Self {
        Self::of(state)
    }
}

impl<S: Saga> CrashTest<S> {
    /// The saga that is run, on SQLite and the embedded broker.
    pub fn of(state: S) -> Self {
        Self::made(move |_| {
            let state = state.clone();
            Box::pin(async move { Ok(state) })
        })
    }

    /// A saga that is made in the unit of work that starts it, with what else it needs, such as aggregates.
    pub fn made(
        make: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<S>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(make),
            signals: Vec::new(),
            config: Arc::new(embedded),
            still: STILL,
            every: 1,
        }
    }

    /// A signal that is there from the start.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn signal<C: Contract>(mut self, content: &C) -> Result<Self> {
        self.signals.push((C::NAME, Payload::encode(content)?));
        Ok(self)
    }

    /// Another configuration: it gets a name that no other run has, for its database and the prefix of its topics.
    #[must_use]
    pub fn config(
        mut self,
        config: impl Fn(&str) -> Result<Config> + Send + Sync + 'static,
    ) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// For how long nothing may happen until time is let pass; a quarter of a second unless it is said. A broker whose
    /// groups need seconds of the machine's time to give the partitions of the dead to the living needs more.
    #[must_use]
    pub const fn still(mut self, time: Duration) -> Self {
        self.still = time;
        self
    }

    /// Only every so many moments one crash: where a run takes long.
    #[must_use]
    pub const fn every(mut self, moments: usize) -> Self {
        self.every = if moments == 0 { 1 } else { moments };
        self
    }
}

/// A folder of its own, as `name` says.
fn embedded(name: &str) -> Result<Config> {
    let folder = std::env::temp_dir().join(format!("minos-crash-{name}"));
    let folder = folder.display();
    Config::default()
        .set("http.bind", "127.0.0.1:0")?
        .set("database.url", &format!("sqlite://{folder}/{{service}}.db"))?
        .set("broker.url", &format!("local://{folder}/broker.db"))
}

/// What a crash test has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashReport {
    /// At how many moments it was killed.
    pub points: usize,
    /// How many effects the undisturbed run has: events, dead letters, and ends of sagas.
    pub effects: u64,
    /// How many of them were missing, in all runs together.
    pub lost: u64,
    /// How many there were too many, in all runs together.
    pub doubled: u64,
}

/// Runs a saga undisturbed, then once per moment at which something becomes durable - a commit, a publication, a step of
/// a reader - killing all services there and starting them again. All must end as the undisturbed run did, with each
/// effect once. Prints what it saw.
///
/// Time passes by itself as long as something happens; when nothing does, it jumps to what is due next: a saga that
/// takes days is tested in seconds.
///
/// # Errors
/// A service that does not start, a saga that does not end, or an effect that is lost or doubled; it says at which
/// moment the crash was.
pub fn crash_test<S, T>(
    name: &str,
    services: impl Fn() -> Vec<Service> + Sync,
    saga: impl Fn() -> T + Sync,
) -> Result<CrashReport>
where
    S: Saga,
    T: Into<CrashTest<S>>,
{
    let calm = once(&services, &saga().into(), None)?;
    let mut report = CrashReport {
        points: 0,
        effects: calm.effects.values().sum(),
        lost: 0,
        doubled: 0,
    };
    let mut problems = Vec::new();
    for (_, run) in killed(&services, &saga)? {
        let Some(at) = run.crashed else { continue };
        report.points += 1;
        let names = calm.effects.keys().chain(run.effects.keys());
        let names: BTreeSet<&String> = names.collect();
        for name in names {
            let (want, have) = (count(&calm.effects, name), count(&run.effects, name));
            if want != have {
                problems.push(format!("killed {at}: {name} {have} times, not {want}"));
            }
            report.lost += want.saturating_sub(have);
            report.doubled += have.saturating_sub(want);
        }
    }
    let CrashReport {
        points,
        effects,
        lost,
        doubled,
    } = report;
    println!(
        "crash test {name}: {points} crash points, {effects} effects, lost {lost}, doubled {doubled}"
    );
    if problems.is_empty() {
        return Ok(report);
    }
    let text = format!(
        "{name}: lost {lost}, doubled {doubled}\n{}",
        problems.join("\n")
    );
    Err(Error::new(Kind::Internal, text))
}

/// One run for each moment there is. Most of each is waiting, so that some go on at once.
fn killed<S, T>(
    services: &(impl Fn() -> Vec<Service> + Sync),
    saga: &(impl Fn() -> T + Sync),
) -> Result<Vec<(usize, Ran)>>
where
    S: Saga,
    T: Into<CrashTest<S>>,
{
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let test: CrashTest<S> = saga().into();
    let every = test.every;
    let work = || {
        let mut runs = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let point = next.fetch_add(every, Ordering::Relaxed);
            let run = once(services, &saga().into(), Some(point));
            if !matches!(&run, Ok(run) if run.crashed.is_some()) {
                over.store(true, Ordering::Relaxed);
            }
            runs.push((point, run?));
        }
        Ok(runs)
    };
    let mut runs = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let mut runs = Vec::new();
        for worker in workers {
            let of: Result<Vec<_>> = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            runs.extend(of?);
        }
        Ok::<_, Error>(runs)
    })?;
    runs.sort_by_key(|(point, _)| *point);
    Ok(runs)
}

fn count(effects: &BTreeMap<String, u64>, name: &str) -> u64 {
    effects.get(name).copied().unwrap_or_default()
}

/// How one run ended.
struct Ran {
    effects: BTreeMap<String, u64>,
    /// Where it was killed, if it was.
    crashed: Option<String>,
}

/// Runs the saga to its end on a database of its own, perhaps with a crash on the way.
fn once<S: Saga>(
    services: &dyn Fn() -> Vec<Service>,
    test: &CrashTest<S>,
    point: Option<usize>,
) -> Result<Ran> {
    let name = Uuid::now_v7().simple().to_string();
    let config = (test.config)(&name)?;
    let ahead = Arc::new(AtomicI64::new(0));
    let until = Instant::now() + PATIENCE;
    let mut crashed = None;
    for fuse in [point, None] {
        let eyes = Arc::new(Eyes::new(fuse));
        let life = Life {
            test,
            eyes: eyes.clone(),
            ahead: ahead.clone(),
            until,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Error::other)?;
        let lived = runtime.block_on(async {
            let mut died = eyes.died.subscribe();
            tokio::select! {
                _ = died.wait_for(Option::is_some) => None,
                lived = life.live(services(), config.clone()) => Some(lived),
            }
        });
        // All that ran is gone, as after a kill; threads that still write to a file are waited for.
        runtime.shutdown_timeout(Duration::from_secs(5));
        // Whoever starts again gets what the dead held when its lease is over. That must not first be when the saga
        // has given up waiting, which is what is due next: so the lease is over before.
        let lease = config.settings().broker.lease;
        let micros = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
        ahead.fetch_add(micros, Ordering::Relaxed);
        match lived {
            Some(effects) => {
                let effects = effects.map_err(|e| blame(e, crashed.as_deref()))?;
                return Ok(Ran { effects, crashed });
            }
            None => crashed = eyes.died.borrow().clone(),
        }
    }
    Err(Error::new(Kind::Internal, "it was killed twice"))
}

fn blame(e: Error, crashed: Option<&str>) -> Error {
    match crashed {
        Some(at) => Error::new(
            e.kind().unwrap_or(Kind::Internal),
            format!("killed {at}: {e}"),
        ),
        None => e,
    }
}

/// From one start to the end, or to a crash.
struct Life<'t, S> {
    test: &'t CrashTest<S>,
    eyes: Arc<Eyes>,
    ahead: Arc<AtomicI64>,
    until: Instant,
}

impl<S: Saga> Life<'_, S> {
    async fn live(&self, services: Vec<Service>, config: Config) -> Result<BTreeMap<String, u64>> {
        let names: Vec<&'static str> = services.iter().map(Service::name).collect();
        let owns = |service: &&Service| service.sagas().iter().any(|saga| saga.name == S::NAME);
        let owner = services
            .iter()
            .find(owns)
            .map(Service::name)
            .ok_or_else(|| {
                let text = format!("none of the services {names:?} has the saga `{}`", S::NAME);
                Error::new(Kind::Wiring, text)
            })?;
        let (stores, broker) = (self.eyes.clone(), self.eyes.clone());
        let running = Builder::new(services)
            .config(config)
            .clock(Ahead(self.ahead.clone()))
            .wrap_store(move |_, store| Arc::new(ObservedStore::new(store, stores.clone())))
            .wrap_broker(move |inner| Arc::new(ObservedBroker::new(inner, broker.clone())))
            .start()
            .await?;
        running.ready(Duration::from_secs(20)).await?;
        self.begin(&running, owner).await?;
        loop {
            self.still(QUIET).await?;
            if !self.in_flight(&running, &names).await? {
                break;
            }
            if self.stalled(self.test.still).await? {
                self.pass(&running, &names).await?;
            }
        }
        let effects = effects(&running, &names).await?;
        running.stop().await?;
        Ok(effects)
    }

    /// Starts the saga unless it was started before the crash.
    async fn begin(&self, running: &Running, owner: &str) -> Result<()> {
        let id = SagaId::of::<S>(KEY);
        let (make, signals) = (self.test.make.clone(), self.test.signals.clone());
        let begun = running.unit(owner, move |cx| {
            let (make, signals) = (make.clone(), signals.clone());
            Box::pin(async move {
                if cx.store().saga(id.saga).await?.is_some() {
                    return Ok(());
                }
                cx.start_once(KEY, make(cx).await?).await?;
                for (name, content) in signals {
                    cx.signal_as(id, name, content)?;
                }
                Ok(())
            })
        });
        begun.await
    }

    /// Waits until nothing has happened for so long.
    async fn still(&self, time: Duration) -> Result<()> {
        let (mut seen, mut since) = (self.eyes.passed(), Instant::now());
        while since.elapsed() < time {
            if Instant::now() > self.until {
                return Err(Error::new(Kind::TimedOut, "the saga does not end"));
            }
            tokio::time::sleep(LOOK).await;
            if self.eyes.passed() != seen {
                (seen, since) = (self.eyes.passed(), Instant::now());
            }
        }
        Ok(())
    }

    /// Whether nothing happens for so long.
    async fn stalled(&self, time: Duration) -> Result<bool> {
        let (seen, since) = (self.eyes.passed(), Instant::now());
        while since.elapsed() < time {
            if Instant::now() > self.until {
                return Err(Error::new(Kind::TimedOut, "the saga does not end"));
            }
            tokio::time::sleep(LOOK).await;
            if self.eyes.passed() != seen {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn in_flight(&self, running: &Running, names: &[&str]) -> Result<bool> {
        for name in names {
            let Some(store) = running.store(name) else {
                continue;
            };
            let sagas = store.sagas(&all()).await?;
            if sagas
                .iter()
                .any(|row| row.due_at.is_some() || !over(&row.status))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets time pass until something is due.
    async fn pass(&self, running: &Running, names: &[&str]) -> Result<()> {
        let mut next: Option<DateTime<Utc>> = None;
        for name in names {
            if let Some(store) = running.store(name) {
                next = next.into_iter().chain(store.next_due().await?).min();
            }
        }
        let now = Ahead(self.ahead.clone()).now();
        if let Some(wait) = next
            .map(|due| due - now)
            .filter(|wait| *wait > TimeDelta::zero())
        {
            let micros = wait.num_microseconds().unwrap_or(i64::MAX);
            self.ahead.fetch_add(micros, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Under which key the saga is started.
const KEY: &str = "crash test";

fn over(status: &str) -> bool {
    ENDED.contains(&status) || status == "stuck"
}

fn all() -> SagaFilter {
    SagaFilter {
        limit: u32::MAX,
        ..SagaFilter::default()
    }
}

/// What all services have done, each with how often.
async fn effects(running: &Running, names: &[&str]) -> Result<BTreeMap<String, u64>> {
    let mut effects = BTreeMap::new();
    let mut add = |what: String, times: u64| *effects.entry(what).or_default() += times;
    for name in names {
        let Some(store) = running.store(name) else {
            continue;
        };
        let mut at = Position::START;
        loop {
            let events = store.events(at, 1000).await?;
            let Some(last) = events.last() else { break };
            at = last.position;
            for event in &events {
                add(format!("{name}: event {}", event.name), 1);
            }
        }
        for row in store.sagas(&all()).await? {
            add(format!("{name}: saga {} {}", row.name, row.status), 1);
        }
        for (consumer, letters) in store.count_dead_letters(&LetterFilter::default()).await? {
            add(format!("{name}: dead letter of {consumer}"), letters);
        }
    }
    Ok(effects)
}

/// The time of the machine, and what was jumped over.
#[derive(Debug)]
struct Ahead(Arc<AtomicI64>);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::microseconds(self.0.load(Ordering::Relaxed))
    }

    fn new_uuid(&self) -> Uuid {
        SystemClock.new_uuid()
    }

    fn chance(&self) -> f64 {
        SystemClock.chance()
    }
}

/// Counts the moments, and ends everything at one of them.
#[derive(Debug)]
struct Eyes {
    fuse: Option<usize>,
    passed: AtomicUsize,
    /// At which moment everything ended.
    died: watch::Sender<Option<String>>,
}

impl Eyes {
    fn new(fuse: Option<usize>) -> Self {
        Self {
            fuse,
            passed: AtomicUsize::new(0),
            died: watch::Sender::new(None),
        }
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    async fn pass(&self, side: &str, moment: &Moment<'_>) {
        let n = self.passed.fetch_add(1, Ordering::Relaxed);
        if self.fuse.is_some_and(|fuse| n >= fuse) {
            // The first one; the others come too late.
            if Some(n) == self.fuse {
                let at = format!("{side} moment {n}, {}", what(moment));
                self.died.send_replace(Some(at));
            }
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Observer for Eyes {
    async fn before(&self, moment: Moment<'_>) {
        self.pass("before", &moment).await;
    }

    async fn after(&self, moment: Moment<'_>) {
        self.pass("after", &moment).await;
    }
}

fn what(moment: &Moment<'_>) -> String {
    match moment {
        Moment::Commit(unit) => {
            let sagas = unit
                .sagas
                .iter()
                .map(|(row, _)| format!("{} {}", row.name, row.status));
            let events = unit
                .writes
                .iter()
                .flat_map(|w| &w.events)
                .map(|e| e.name.clone());
            let all: Vec<String> = sagas.chain(events).collect();
            format!("a commit of [{}]", all.join(", "))
        }
        Moment::Cursor(name) => format!("a step of `{name}`"),
        Moment::Publish(messages) => {
            let names: Vec<&str> = messages.iter().map(|m| m.name.as_str()).collect();
            format!("the publication of [{}]", names.join(", "))
        }
        Moment::Offsets(_) => "a commit of offsets".to_owned(),
    }
}
