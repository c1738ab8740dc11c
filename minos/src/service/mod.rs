//! Services from start to stop.
//!
//! Start: database and migrations, then consumers, then HTTP, then ready. Stop: not ready, HTTP drains, consumers
//! finish their unit, the outbox is flushed, files are closed.

#[cfg(feature = "http")]
mod http;
#[cfg(not(feature = "http"))]
#[path = "without/http.rs"]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(not(feature = "kafka"))]
#[path = "without/kafka.rs"]
mod kafka;
#[cfg(feature = "local")]
mod local;
#[cfg(not(feature = "local"))]
#[path = "without/local.rs"]
mod local;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "without/postgres.rs"]
mod postgres;
#[cfg(any(test, feature = "testing"))]
mod quiet;
mod sagas;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
#[path = "without/sqlite.rs"]
mod sqlite;
mod start;
#[cfg(test)]
mod tests;
mod unit;

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::unit::in_unit;

use std::{fmt, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::{
    broker::Broker,
    clock::{Clock, SystemClock},
    config::Config,
    enroute::{Service, wiring_problems},
    error::{Error, Kind, Result},
    runtime::DeadLetters,
    store::Store,
};

type WrapStore = Arc<dyn Fn(&str, Arc<dyn Store>) -> Arc<dyn Store> + Send + Sync>;
type WrapBroker = Arc<dyn Fn(Arc<dyn Broker>) -> Arc<dyn Broker> + Send + Sync>;

/// Runs services until the process is told to stop (SIGTERM or SIGINT).
///
/// Configuration comes from `minos.toml` and the environment; nothing is needed.
///
/// ```no_run
/// # mod foo { minos::service!("foo"); }
/// # mod __unused {}
/// # #[allow(non_camel_case_types)] struct __put_minos_service_in_lib_rs;
/// # async fn example() -> minos::Result<()> {
/// minos::run([foo::service()]).await
/// # }
/// ```
///
/// # Errors
/// If the services do not fit together (every clash with its place), if a configuration value is wrong, or if a
/// database cannot be opened.
pub async fn run(services: impl IntoIterator<Item = Service>) -> Result<()> {
    let services: Vec<Service> = services.into_iter().collect();
    if crate::check::is_check_only() {
        return verify(&services);
    }
    let config = Config::load()?;
    crate::log::init(&config);
    // From here on a signal ends the process in order, also while starting: what is not ready yet holds nothing.
    let mut told = std::pin::pin!(told_to_stop()?);
    let running = tokio::select! {
        running = Builder::new(services).config(config).start() => running?,
        () = &mut told => return Ok(()),
    };
    let fatal = tokio::select! {
        () = &mut told => None,
        why = running.failed() => Some(why),
    };
    let stopped = running.stop().await;
    match fatal {
        Some(why) => Err(Error::new(
            Kind::OutcomeUnknown,
            format!("stopped, because {why}"),
        )),
        None => stopped,
    }
}

/// Whether services fit together.
///
/// # Errors
/// [`Kind::Wiring`] with every clash and its place.
pub(crate) fn verify(services: &[Service]) -> Result<()> {
    let problems = wiring_problems(services);
    if problems.is_empty() {
        return Ok(());
    }
    let count = problems.len();
    let list: Vec<String> = problems
        .iter()
        .enumerate()
        .map(|(i, p)| format!("({}) {p}", i + 1))
        .collect();
    let noun = if count == 1 {
        "wiring problem"
    } else {
        "wiring problems"
    };
    Err(Error::new(
        Kind::Wiring,
        format!("{count} {noun}: {}", list.join("; ")),
    ))
}

fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate()).map_err(Error::other)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Error::other)?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => info!("SIGTERM: stopping"),
            _ = int.recv() => info!("SIGINT: stopping"),
        }
    })
}

/// Services that are about to start, for tests and programs that do more than [`run`].
///
/// ```no_run
/// # async fn example(service: minos::Service) -> minos::Result<()> {
/// let running = minos::Builder::new([service]).start().await?;
/// println!("{}", running.url("foo").unwrap_or_default());
/// running.stop().await
/// # }
/// ```
pub struct Builder {
    services: Vec<Service>,
    config: Config,
    clock: Arc<dyn Clock>,
    wrap_store: Option<WrapStore>,
    wrap_broker: Option<WrapBroker>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("services", &self.services)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// These services, with the default configuration.
    pub fn new(services: impl IntoIterator<Item = Service>) -> Self {
        Self {
            services: services.into_iter().collect(),
            config: Config::default(),
            clock: Arc::new(SystemClock),
            wrap_store: None,
            wrap_broker: None,
        }
    }

    /// With this configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// With this source of time, ids, and chance.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Puts something between each service (by its name) and its store, such as faults.
    #[must_use]
    pub fn wrap_store(
        mut self,
        wrap: impl Fn(&str, Arc<dyn Store>) -> Arc<dyn Store> + Send + Sync + 'static,
    ) -> Self {
        self.wrap_store = Some(Arc::new(wrap));
        self
    }

    /// Puts something between the services and the broker, such as faults.
    #[must_use]
    pub fn wrap_broker(
        mut self,
        wrap: impl Fn(Arc<dyn Broker>) -> Arc<dyn Broker> + Send + Sync + 'static,
    ) -> Self {
        self.wrap_broker = Some(Arc::new(wrap));
        self
    }

    /// Starts them. They may not be ready yet when this returns: [`Running::ready`] waits for that.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn start(self) -> Result<Running> {
        verify(&self.services)?;
        start::start(self).await
    }
}

/// Services that run.
pub struct Running {
    services: Vec<start::Up>,
    broker: Arc<dyn Broker>,
    fatal: watch::Sender<Option<String>>,
    grace: Duration,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.services.iter().map(|s| &s.name).collect();
        f.debug_struct("Running")
            .field("services", &names)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Where a service's HTTP door is, such as `http://127.0.0.1:4545`.
    #[must_use]
    pub fn url(&self, service: &str) -> Option<String> {
        self.address(service)
            .map(|address| format!("http://{address}"))
    }

    /// The address of a service's HTTP door.
    #[must_use]
    pub fn address(&self, service: &str) -> Option<SocketAddr> {
        self.up(service)?.address()
    }

    /// A service's store.
    #[must_use]
    pub fn store(&self, service: &str) -> Option<Arc<dyn Store>> {
        self.up(service).map(|up| up.store.clone())
    }

    /// The dead letters of a service.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such service.
    pub fn dead_letters(&self, service: &str) -> Result<DeadLetters> {
        self.up(service)
            .map(|up| up.letters.clone())
            .ok_or_else(|| Error::new(Kind::NotFound, format!("no service `{service}` runs here")))
    }

    /// The broker.
    #[must_use]
    pub fn broker(&self) -> Arc<dyn Broker> {
        self.broker.clone()
    }

    /// Returns if a service must not go on - the outcome of a commit stays unknown - and says why.
    pub async fn failed(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        // The sender lives as long as `self`.
        match fatal.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    fn up(&self, service: &str) -> Option<&start::Up> {
        self.services.iter().find(|s| s.name == service)
    }

    /// Waits until all services are ready, at most so long.
    ///
    /// # Errors
    /// [`Kind::TimedOut`] naming what is not up.
    pub async fn ready(&self, patience: Duration) -> Result<()> {
        let all = async {
            for service in &self.services {
                service.health.wait_ready().await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return Ok(());
        }
        let missing: Vec<String> = self
            .services
            .iter()
            .filter_map(|s| s.health.why_not_ready().map(|w| format!("{}: {w}", s.name)))
            .collect();
        Err(Error::new(
            Kind::TimedOut,
            format!("not ready after {patience:?}: {}", missing.join("; ")),
        ))
    }

    /// Stops in order: not ready, HTTP drains, consumers finish their unit, the outbox is flushed, files are closed.
    ///
    /// # Errors
    /// [`Kind::TimedOut`] if something had to be cut off at the end of the grace period. Nothing that was
    /// acknowledged is lost even then.
    pub async fn stop(self) -> Result<()> {
        let started = tokio::time::Instant::now();
        let grace = self.grace;
        let left = || grace.saturating_sub(started.elapsed());
        for service in &self.services {
            service.health.stop();
        }
        let (mut doors, mut workers, mut relays, mut stores) = (vec![], vec![], vec![], vec![]);
        for service in self.services {
            // What hangs in a request must not take the time of what is behind it.
            doors.push(service.door.close(left().mul_f32(0.6)));
            workers.push(service.workers);
            relays.push(service.relay);
            stores.push(service.store);
        }
        // Each stage ends in all services before the next begins: a request in work may need the other service.
        let mut clean = futures_util::future::join_all(doors)
            .await
            .into_iter()
            .all(|clean| clean);
        for stage in [workers, relays] {
            for tasks in &stage {
                tasks.stop();
            }
            for tasks in stage {
                clean &= tasks.join(left()).await;
            }
        }
        for store in stores {
            store.close().await;
        }
        self.broker.close().await;
        if clean {
            info!(took = ?started.elapsed(), "stopped");
            return Ok(());
        }
        warn!("the grace period is over; what still ran was cut off");
        Err(Error::new(
            Kind::TimedOut,
            format!("not everything stopped within {grace:?}"),
        ))
    }
}
