//! One service in its starting order, and its parts for the stop.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::watch;
use tracing::info;

use super::{Builder, Running, http, kafka, local, postgres, sqlite};
use crate::{
    broker::Broker,
    clock::Clock,
    config::{BrokerUrl, Config, DatabaseUrl, INBOX_RETENTION, ServiceConfig},
    context::{Core, Limits, Slots, Soon},
    enroute::{self, Handlers, Service},
    error::{Failure, Kind, Result},
    health::Health,
    runtime::{
        Consumer, DeadLetters, Due, Follower, Handler, Keeper, Relay, Retries, Supervisor, foreign,
        requests,
    },
    store::Store,
};

/// A service that runs.
pub(super) struct Up {
    pub(super) name: String,
    pub(super) health: Arc<Health>,
    pub(super) store: Arc<dyn Store>,
    pub(super) core: Arc<Core>,
    pub(super) handlers: Arc<Vec<Handlers>>,
    pub(super) letters: DeadLetters,
    pub(super) door: http::Door,
    /// Consumers, followers, and sagas.
    pub(super) workers: Supervisor,
    /// The relay: it stops once nothing more is written.
    pub(super) relay: Supervisor,
}

impl Up {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.door.address()
    }
}

pub(super) async fn start(builder: Builder) -> Result<Running> {
    let Builder {
        services,
        config,
        clock,
        wrap_store,
        wrap_broker,
    } = builder;
    let names: Vec<&str> = services.iter().map(Service::name).collect();
    let configs = config.for_services(&names)?;
    let mut broker = open_broker(&config, &clock).await?;
    if let Some(wrap) = wrap_broker {
        broker = wrap(broker);
    }
    let fatal = watch::Sender::new(None);
    let mut up = Vec::with_capacity(services.len());
    for (service, config) in services.iter().zip(&configs) {
        let mut store = open_store(config).await?;
        if let Some(wrap) = &wrap_store {
            store = wrap(service.name(), store);
        }
        up.push(one(service, config, store, (&broker, &clock, &fatal)).await?);
    }
    Ok(Running {
        services: up,
        broker,
        fatal,
        grace: config.settings().runtime.stop_grace,
    })
}

async fn open_store(config: &ServiceConfig) -> Result<Arc<dyn Store>> {
    match &config.database.url {
        DatabaseUrl::Memory => Ok(Arc::new(crate::store::memory::Store::new())),
        DatabaseUrl::Sqlite(path) => sqlite::open(path, &config.database).await,
        DatabaseUrl::Postgres(url) => postgres::open(&config.name, url, &config.database).await,
    }
}

async fn open_broker(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Broker>> {
    let settings = &config.settings().broker;
    match &settings.url {
        BrokerUrl::Memory => Ok(Arc::new(crate::broker::memory::Broker::with_partitions(
            settings.partitions,
        ))),
        BrokerUrl::Local(path) => local::open(path, settings, clock).await,
        BrokerUrl::Kafka(servers) => kafka::open(servers, settings).await,
    }
}

/// What all services of a process share.
type Shared<'a> = (
    &'a Arc<dyn Broker>,
    &'a Arc<dyn Clock>,
    &'a watch::Sender<Option<String>>,
);

async fn one(
    service: &Service,
    config: &ServiceConfig,
    store: Arc<dyn Store>,
    (broker, clock, fatal): Shared<'_>,
) -> Result<Up> {
    let name = service.name();
    let health = Arc::new(Health::default());
    let deadlines = service
        .sagas()
        .iter()
        .filter_map(|s| Some((s.name, (s.flow)().deadline()?)));
    let retention = retention(name, config.runtime.inbox_retention, deadlines)?;
    let core = Arc::new(Core {
        name: name.to_owned(),
        store: store.clone(),
        clock: clock.clone(),
        slots: Slots::default(),
        resources: service.resources().clone(),
        sagas: service
            .sagas()
            .iter()
            .map(|s| (s.name, (s.flow)()))
            .collect(),
        soon: Soon::default(),
        limits: Limits {
            reruns: config.runtime.reruns,
            ..Limits::default()
        },
        runtime: tokio::runtime::Handle::current(),
        fatal: fatal.clone(),
    });
    let handlers: Arc<Vec<Handlers>> = Arc::new(service.build().await?);
    let mut workers = Supervisor::new(health.clone(), clock.clone());
    let handler = Handler {
        stop: workers.signal(),
        loose: Arc::default(),
        core: core.clone(),
        handlers: handlers.clone(),
        retries: Retries {
            attempts: config.runtime.retries + 1,
            first: Duration::from_millis(50),
            most: Duration::from_secs(5),
            patience: Duration::from_secs(30),
        },
    };
    let own = service.aggregates();
    let concurrency = config.runtime.concurrency;

    let mut relay = Supervisor::new(health.clone(), clock.clone());
    let task = Relay {
        core: core.clone(),
        broker: broker.clone(),
        health: health.clone(),
        name: "relay".to_owned(),
        taken: Arc::default(),
    };
    relay.spawn("relay", move |stop| task.clone().run(stop));

    let consumer = |name: &str, group: String, handler: Handler, topics: Vec<String>| Consumer {
        handler,
        broker: broker.clone(),
        health: health.clone(),
        name: name.to_owned(),
        group,
        topics,
        concurrency,
    };
    let mut consumers = vec![consumer(
        "consumer",
        name.to_owned(),
        handler.clone(),
        requests(name, &handlers, !service.sagas().is_empty()),
    )];
    for block in handlers.iter() {
        let alone = Handler {
            handlers: Arc::new(vec![block.clone()]),
            ..handler.clone()
        };
        let (task, group) = (
            format!("consumer {}", block.name),
            format!("{name}/{}", block.name),
        );
        consumers.push(consumer(&task, group, alone, foreign(block, &own)));
    }
    for task in consumers.into_iter().filter(|c| !c.topics.is_empty()) {
        workers.spawn(&task.name.clone(), move |stop| task.clone().run(stop));
    }
    for block in handlers.iter().filter(|h| follows(h, &own)) {
        let name = format!("follower {}", block.name);
        let (handler, handlers, health) = (handler.clone(), block.clone(), health.clone());
        let task = Follower {
            handler,
            handlers,
            health,
            name: name.clone(),
            concurrency,
        };
        workers.spawn(&name, move |stop| task.clone().run(stop));
    }
    let task = Due {
        core: core.clone(),
        health: health.clone(),
        name: "sagas".to_owned(),
        concurrency,
    };
    workers.spawn("sagas", move |stop| task.clone().run(stop));
    let task = Keeper {
        handler: handler.clone(),
        health: health.clone(),
        name: "keeper".to_owned(),
        retention,
    };
    workers.spawn("keeper", move |stop| task.clone().run(stop));
    let letters = DeadLetters::new(handler.clone(), broker.clone());

    health.starting("http");
    let door = http::open(&core, &handlers, &health, &letters, &config.http).await?;
    health.up("http");
    if let Some(address) = door.address() {
        info!(service = name, url = %format_args!("http://{address}"), "serving");
    }
    Ok(Up {
        name: name.to_owned(),
        health,
        store,
        core,
        handlers,
        letters,
        door,
        workers,
        relay,
    })
}

/// For how long it is remembered what was handled. A reply that comes at the end of a saga must still be known: for
/// twice as long as any saga may take, which leaves time to undo it.
fn retention<'s>(
    service: &str,
    chosen: Option<Duration>,
    sagas: impl IntoIterator<Item = (&'s str, Duration)>,
) -> Result<Duration> {
    let hours = |d: Duration| format!("\"{}h\"", d.as_secs().div_ceil(3600));
    let mut enough = INBOX_RETENTION;
    for (saga, deadline) in sagas {
        let least = deadline.saturating_mul(2);
        enough = enough.max(least);
        if let Some(retention) = chosen
            && retention < least
        {
            let text = format!(
                "`runtime.inbox_retention` of `{service}` is too short: its saga `{saga}` may take {}, and what was \
                 handled must be known for twice that; write {} or more instead of {}",
                hours(deadline),
                hours(least),
                hours(retention)
            );
            return Err(Failure::new(Kind::Config, text).into());
        }
    }
    Ok(chosen.unwrap_or(enough))
}

/// Whether an impl block reads events of the service's own aggregates.
fn follows(handlers: &Handlers, own: &BTreeSet<&'static str>) -> bool {
    let reads = |door: &enroute::Door| matches!(door, enroute::Door::Event { topic, .. } if own.contains(topic));
    handlers.routes.iter().any(|r| reads(&r.door))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handled_is_known_for_longer_than_any_saga_may_take() {
        let hours = |n| Duration::from_secs(n * 3600);
        let check = |retention: Option<u64>, deadlines: &[u64]| {
            let sagas = deadlines.iter().map(|n| ("AddFooBar", hours(*n)));
            super::retention("foo", retention.map(hours), sagas)
        };
        assert_eq!(check(Some(24), &[]).unwrap(), hours(24));
        assert_eq!(check(Some(24), &[1, 12]).unwrap(), hours(24));
        // Who chose nothing gets what the sagas need.
        assert_eq!(check(None, &[1, 12]).unwrap(), hours(14 * 24));
        assert_eq!(check(None, &[30 * 24, 1]).unwrap(), hours(60 * 24));
        let error = check(Some(24), &[1, 13]).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Config));
        let text = error.to_string();
        for part in ["runtime.inbox_retention", "`foo`", "AddFooBar", "\"26h\""] {
            assert!(text.contains(part), "{text}");
        }
    }
}
