//! One service in its starting order, and its parts for the stop.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use tracing::info;

use super::{Builder, Running, stores};
use crate::{
    clock::Clock,
    config::ServiceConfig,
    context::{Core, Limits, Slots},
    door::{self, Door},
    enroute::{self, Handlers, Service},
    error::Result,
    health::Health,
    runtime::{Consumer, Due, Follower, Handler, Relay, Retries, Stop, Supervisor, topics},
    store::Store,
};

/// A service that runs.
pub(super) struct Up {
    pub(super) name: String,
    pub(super) health: Arc<Health>,
    pub(super) store: Arc<dyn Store>,
    door: Door,
    /// Stops consumers, followers, and sagas.
    work: Stop,
    workers: Supervisor,
    /// Stops the relay, once nothing more is written.
    flush: Stop,
    relay: Supervisor,
}

impl Up {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.door.address()
    }
}

pub(super) async fn start(builder: Builder) -> Result<Running> {
    let Builder { services, config, clock, wrap_store, wrap_broker } = builder;
    let mut broker = stores::broker(&config, &clock).await?;
    if let Some(wrap) = wrap_broker {
        broker = wrap(broker);
    }
    let mut up = Vec::with_capacity(services.len());
    let mut grace = Duration::from_secs(5);
    for (index, service) in services.iter().enumerate() {
        let config = config.for_service(service.name(), index);
        grace = config.runtime.stop_grace;
        let mut store = stores::store(&config, &clock).await?;
        if let Some(wrap) = &wrap_store {
            store = wrap(service.name(), store);
        }
        up.push(one(service, &config, store, &broker, &clock).await?);
    }
    Ok(Running { services: up, broker, grace })
}

async fn one(
    service: &Service,
    config: &ServiceConfig,
    store: Arc<dyn Store>,
    broker: &Arc<dyn crate::broker::Broker>,
    clock: &Arc<dyn Clock>,
) -> Result<Up> {
    let name = service.name();
    let health = Arc::new(Health::default());
    let core = Arc::new(Core {
        name: name.to_owned(),
        store: store.clone(),
        clock: clock.clone(),
        slots: Slots::default(),
        resources: service.resources().clone(),
        sagas: service.sagas().iter().map(|s| (s.name, (s.flow)())).collect(),
        limits: Limits { reruns: config.runtime.reruns, ..Limits::default() },
        runtime: tokio::runtime::Handle::current(),
    });
    let handlers: Arc<Vec<Handlers>> = Arc::new(service.build().await?);
    let handler = Handler {
        core: core.clone(),
        handlers: handlers.clone(),
        retries: Retries {
            attempts: config.runtime.retries + 1,
            first: Duration::from_millis(50),
            most: Duration::from_secs(5),
        },
    };
    let own = service.aggregates();
    let concurrency = config.runtime.concurrency;

    let (work, mut workers) = (Stop::default(), Supervisor::new(health.clone(), clock.clone()));
    let (flush, mut relay) = (Stop::default(), Supervisor::new(health.clone(), clock.clone()));
    let task = Relay { core: core.clone(), broker: broker.clone(), health: health.clone(), name: "relay".to_owned() };
    let stop = flush.clone();
    relay.spawn(task.name.clone(), flush.clone(), move || task.clone().run(stop.clone()));

    let topics = topics(name, &handlers, &own, !service.sagas().is_empty());
    if !topics.is_empty() {
        let task = Consumer {
            handler: handler.clone(),
            broker: broker.clone(),
            health: health.clone(),
            name: "consumer".to_owned(),
            topics,
            concurrency,
        };
        let stop = work.clone();
        workers.spawn(task.name.clone(), work.clone(), move || task.clone().run(stop.clone()));
    }
    for block in handlers.iter().filter(|h| follows(h, &own)) {
        let task = Follower {
            handler: handler.clone(),
            handlers: block.clone(),
            health: health.clone(),
            name: format!("follower:{}", block.name),
            concurrency,
        };
        let stop = work.clone();
        workers.spawn(task.name.clone(), work.clone(), move || task.clone().run(stop.clone()));
    }
    let task = Due { core: core.clone(), health: health.clone(), name: "sagas".to_owned(), concurrency };
    let stop = work.clone();
    workers.spawn(task.name.clone(), work.clone(), move || task.clone().run(stop.clone()));

    let door = door::open(&core, &handlers, &health, &config.http).await?;
    if let Some(address) = door.address() {
        info!(service = name, url = %format_args!("http://{address}"), "serving");
    }
    health.serving();
    Ok(Up { name: name.to_owned(), health, store, door, work, workers, flush, relay })
}

/// Whether an impl block reads events of the service's own aggregates.
fn follows(handlers: &Handlers, own: &BTreeSet<&'static str>) -> bool {
    let reads = |door: &enroute::Door| matches!(door, enroute::Door::Event { topic, .. } if own.contains(topic));
    handlers.routes.iter().any(|r| reads(&r.door))
}
