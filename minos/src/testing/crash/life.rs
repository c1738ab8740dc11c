//! One run of a saga: from the first start to the end, through the crashes on the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    CrashTest,
    effects::{Effects, effects, sagas},
    folder,
    fuse::Fuse,
    witness::Witness,
};
use crate::{
    clock::{Clock, SystemClock, pretend},
    config::{BrokerUrl, Config},
    enroute::Service,
    error::{Error, Kind, Result},
    saga::{ENDED, Saga, SagaId},
    service::{Builder, Running},
    store::Store,
    testing::observed::{ObservedBroker, ObservedStore},
};

/// How long one run, with its crashes, may take.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long the services may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long nothing moves until the stores are asked whether something will.
const LOOK: Duration = Duration::from_millis(5);
/// How soon they are asked again if nothing has moved.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Under which key the saga is started.
const KEY: &str = "crash test";

/// How one run ended.
pub(super) struct Ran {
    pub(super) effects: Effects,
    /// Where it was killed, each time.
    pub(super) crashed: Vec<String>,
    /// What it ran on.
    pub(super) stack: String,
}

/// Runs the saga to its end on a database of its own. Each fuse kills one process, the last process has none.
pub(super) fn run<S: Saga>(
    services: &dyn Fn() -> Vec<Service>,
    test: &CrashTest<S>,
    fuses: &[usize],
) -> Result<Ran> {
    let name = Uuid::now_v7().simple().to_string();
    let config = (test.config)(&name)?;
    let clock = Jumping::new();
    let witness = Arc::new(Witness::default());
    let until = Instant::now() + PATIENCE;
    let mut crashed = Vec::new();
    loop {
        let at = fuses.get(crashed.len()).copied();
        let life = Life {
            test,
            fuse: Arc::new(Fuse::new(at, witness.clone())),
            witness: witness.clone(),
            clock: clock.clone(),
            until,
        };
        let lived = live(&life, services(), config.clone())?;
        let broker = &config.settings().broker;
        if let BrokerUrl::Local(_) = broker.url {
            // Whoever starts again gets what the dead held when its lease is over. That must not first be when the
            // saga has given up waiting, which is what is due next: so the lease is over before.
            let lease = TimeDelta::from_std(broker.lease).unwrap_or_default();
            clock.jump(lease + TimeDelta::microseconds(1));
        }
        match lived {
            Some(lived) => {
                let (effects, stack) = lived.map_err(|e| blame(e, &crashed))?;
                // Files that are left behind are in nobody's way; those of a run that failed are there to be looked at.
                let _ = std::fs::remove_dir_all(folder(&name));
                return Ok(Ran {
                    effects,
                    crashed,
                    stack,
                });
            }
            None => crashed.extend(life.fuse.blown.borrow().clone()),
        }
    }
}

/// As a process of its own; [`None`] if it was killed.
fn live<S: Saga>(
    life: &Life<'_, S>,
    services: Vec<Service>,
    config: Config,
) -> Result<Option<Result<(Effects, String)>>> {
    let process = Some(Uuid::new_v4());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || pretend(process))
        .build()
        .map_err(Error::other)?;
    pretend(process);
    let lived = runtime.block_on(async {
        let mut blown = life.fuse.blown.subscribe();
        tokio::select! {
            _ = blown.wait_for(Option::is_some) => None,
            lived = life.live(services, config) => Some(lived),
        }
    });
    pretend(None);
    // All that ran is gone, as after a kill; threads that still write to a file are waited for.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(lived)
}

fn blame(e: Error, crashed: &[String]) -> Error {
    if crashed.is_empty() {
        return e;
    }
    let text = format!("killed {}: {e}", crashed.join(", then "));
    Error::new(e.kind().unwrap_or(Kind::Internal), text)
}

/// From one start to the end, or to a crash.
struct Life<'t, S> {
    test: &'t CrashTest<S>,
    fuse: Arc<Fuse>,
    witness: Arc<Witness>,
    clock: Jumping,
    until: Instant,
}

impl<S: Saga> Life<'_, S> {
    async fn live(&self, services: Vec<Service>, config: Config) -> Result<(Effects, String)> {
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
        let (stores, broker) = (self.fuse.clone(), self.fuse.clone());
        let running = Builder::new(services)
            .config(config)
            .clock(self.clock.clone())
            .wrap_store(move |_, store| Arc::new(ObservedStore::new(store, stores.clone())))
            .wrap_broker(move |inner| Arc::new(ObservedBroker::new(inner, broker.clone())))
            .start()
            .await?;
        running.ready(START).await?;
        self.begin(&running, owner).await?;
        let stores: Vec<(&str, Arc<dyn Store>)> = names
            .iter()
            .filter_map(|name| Some((*name, running.store(name)?)))
            .collect();
        loop {
            self.quiet(&running, &names).await?;
            if is_over(&stores).await? {
                break;
            }
            self.pass(&stores).await?;
        }
        let plain: Vec<(&str, &dyn Store)> = stores.iter().map(|(n, s)| (*n, &**s)).collect();
        let effects = effects(&plain, &self.witness.view_names()).await?;
        let store = stores.first().map_or("nothing", |(_, s)| s.backend());
        let stack = format!("{store} and {}", running.broker().backend());
        running.stop().await?;
        Ok((effects, stack))
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

    /// Waits until only time can change anything: all is published, delivered, and handled, and nothing is due.
    async fn quiet(&self, running: &Running, services: &[&str]) -> Result<()> {
        let mut waits = "it waits for what does not come".to_owned();
        let (mut seen, mut quiet, mut next) = (self.fuse.passed(), false, Instant::now());
        while Instant::now() < self.until {
            tokio::time::sleep(LOOK).await;
            let passed = self.fuse.passed();
            if std::mem::replace(&mut seen, passed) != passed {
                (quiet, next) = (false, Instant::now());
                waits = format!(
                    "something happens all the time, {} moments so far, the last one {}",
                    passed,
                    self.fuse.last()
                );
                continue;
            }
            if Instant::now() < next {
                continue;
            }
            match self.has_to_do(running, services).await? {
                Some(what) => (waits, quiet, next) = (what, false, Instant::now() + LOOK_AGAIN),
                // What moves from one service to another may pass by a look at them in turn: two looks, and no move
                // in between.
                None if quiet => return Ok(()),
                None => quiet = true,
            }
        }
        let text = format!("the saga does not end: {waits}");
        Err(Error::new(Kind::TimedOut, text))
    }

    async fn has_to_do(&self, running: &Running, services: &[&str]) -> Result<Option<String>> {
        // The cheap question first.
        if let Some(what) = self.witness.unfinished() {
            return Ok(Some(what));
        }
        for service in services {
            let sent = |id| self.fuse.has_sent(id);
            if let Some(what) = running.has_to_do(service, sent).await? {
                return Ok(Some(what));
            }
        }
        Ok(self.witness.unfinished())
    }

    /// Lets time pass until something is due.
    async fn pass(&self, stores: &[(&str, Arc<dyn Store>)]) -> Result<()> {
        let mut next: Option<DateTime<Utc>> = None;
        for (_, store) in stores {
            next = next.into_iter().chain(store.next_due().await?).min();
        }
        if let Some(due) = next {
            self.clock.jump(due - self.clock.now());
        }
        Ok(())
    }
}

/// Whether all sagas have ended, or are stuck.
async fn is_over(stores: &[(&str, Arc<dyn Store>)]) -> Result<bool> {
    let over = |status: &str| ENDED.contains(&status) || status == "stuck";
    for (_, store) in stores {
        let sagas = sagas(&**store).await?;
        if sagas
            .iter()
            .any(|row| row.due_at.is_some() || !over(&row.status))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Time that stands still but for what is jumped over: a machine that is busy, or a broker that takes seconds to begin
/// anew, must not look like a participant that does not answer.
#[derive(Debug, Clone)]
struct Jumping {
    begin: DateTime<Utc>,
    /// In microseconds.
    ahead: Arc<AtomicI64>,
}

impl Jumping {
    fn new() -> Self {
        Self {
            begin: SystemClock.now(),
            ahead: Arc::default(),
        }
    }

    fn jump(&self, time: TimeDelta) {
        let micros = time.num_microseconds().unwrap_or(i64::MAX);
        self.ahead.fetch_add(micros.max(0), Ordering::Relaxed);
    }
}

impl Clock for Jumping {
    fn now(&self) -> DateTime<Utc> {
        self.begin + TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed))
    }

    fn new_uuid(&self) -> Uuid {
        SystemClock.new_uuid()
    }

    fn chance(&self) -> f64 {
        SystemClock.chance()
    }
}
