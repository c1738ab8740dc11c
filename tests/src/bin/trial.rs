//! Services in a process of their own, for tests that kill it.
//!
//! `TRIAL_SERVICES` names them (`foo,foobar`, `accounts,audit` or `trial`), `TRIAL_FUSE` the moment at which the process dies by
//! SIGKILL: a number (moments are counted over commits, cursors, publications, and offsets, before and after each),
//! or the first moment of a name, such as `before publish Reply CreateFooBar` or `after commit AddFooBar 2` (the second
//! transition of a saga).
//! With `TRIAL_LOG` set to directives (`minos=info`), the log goes to stderr. With `TRIAL_REPEAT` set, what is published is published a second time after what follows it, as a relay does that
//! lost its place. Everything else is configured as usual (`MINOS_..`).

use std::{
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use minos::{
    Builder, Error, Result, Service,
    broker::{self, Broker, Origin, Subscription, Undecodable},
    config::Config,
    error::Kind,
    message::Message,
    testing::{Moment, ObservedBroker, ObservedStore, Observer},
};
use tokio::signal::unix::{SignalKind, signal};

/// Counts moments; at the chosen one the process dies.
#[derive(Debug)]
struct Fuse {
    at: At,
    passed: AtomicU32,
}

/// When the process dies.
#[derive(Debug)]
enum At {
    Never,
    Moment(u32),
    Name(String),
}

impl At {
    fn from_variable() -> Self {
        match std::env::var("TRIAL_FUSE").as_deref() {
            Err(_) | Ok("" | "0") => At::Never,
            Ok(text) => text
                .parse()
                .map_or_else(|_| At::Name(text.to_owned()), At::Moment),
        }
    }
}

impl Fuse {
    fn pass(&self, side: &str, moment: Moment<'_>) {
        let n = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let what = match (&self.at, moment) {
            (At::Never, _) => return,
            (At::Moment(at), _) if *at != n => return,
            (_, moment) => name(moment),
        };
        if matches!(&self.at, At::Name(wanted) if !format!("{side} {what}").starts_with(wanted)) {
            return;
        }
        println!("crash {n} {side} {what}");
        // The shell has a `kill` of its own; the program is missing on a small system.
        let killed = Command::new("sh")
            .args(["-c", &format!("kill -9 {}", std::process::id())])
            .status();
        // The signal ends the process here; nothing after the moment may run.
        drop(killed);
        loop {
            std::thread::park();
        }
    }
}

/// What a moment is called.
fn name(moment: Moment<'_>) -> String {
    match moment {
        Moment::Commit(unit) => {
            let sagas = unit.sagas.iter().map(|(row, _)| row);
            let moved: Vec<_> = sagas
                .map(|row| format!(" {} {} {}", row.name, row.version, row.status))
                .collect();
            format!("commit{}", moved.concat())
        }
        Moment::Cursor(name) => format!("cursor {name}"),
        Moment::Publish(messages) => {
            let names: Vec<_> = messages
                .iter()
                .map(|m| format!("{:?} {}", m.kind, m.name))
                .collect();
            format!("publish {}", names.join(", "))
        }
        Moment::Offsets(_) => "offsets".to_owned(),
        _ => "something".to_owned(),
    }
}

/// Publishes everything a second time, each batch after the next one: duplicates, and out of order.
#[derive(Debug)]
struct Repeating {
    broker: Arc<dyn Broker>,
    last: Mutex<Vec<Message>>,
}

#[async_trait::async_trait]
impl Broker for Repeating {
    fn backend(&self) -> &'static str {
        self.broker.backend()
    }

    async fn ensure_topics(&self, topics: &[String]) -> broker::Result<()> {
        self.broker.ensure_topics(topics).await
    }

    async fn publish(&self, messages: &[Message]) -> broker::Result<()> {
        self.broker.publish(messages).await?;
        let again = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *last, messages.to_vec())
        };
        self.broker.publish(&again).await
    }

    async fn subscribe(
        &self,
        group: &str,
        topics: &[String],
    ) -> broker::Result<Box<dyn Subscription>> {
        self.broker.subscribe(group, topics).await
    }

    fn decode(&self, origin: &Origin, bytes: &[u8]) -> std::result::Result<Message, Undecodable> {
        self.broker.decode(origin, bytes)
    }

    async fn health(&self) -> broker::Result<()> {
        self.broker.health().await
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

#[async_trait::async_trait]
impl Observer for Fuse {
    async fn before(&self, moment: Moment<'_>) {
        self.pass("before", moment);
    }

    async fn after(&self, moment: Moment<'_>) {
        self.pass("after", moment);
    }
}

fn services() -> Vec<Service> {
    let names = std::env::var("TRIAL_SERVICES").unwrap_or_else(|_| "foo,foobar".to_owned());
    let of = |name: &str| match name {
        "foo" => Some(foo::service()),
        "foobar" => Some(foobar::service()),
        "accounts" => Some(bank_accounts::service()),
        "audit" => Some(bank_audit::service()),
        "trial" => Some(minos_tests::service()),
        _ => None,
    };
    names.split(',').filter_map(of).collect()
}

#[minos::main]
async fn main() -> Result<()> {
    if let Ok(filter) = std::env::var("TRIAL_LOG") {
        let log = tracing_subscriber::fmt().with_env_filter(filter);
        log.with_writer(std::io::stderr).init();
    }
    let fuse: Arc<dyn Observer> = Arc::new(Fuse {
        at: At::from_variable(),
        passed: AtomicU32::new(0),
    });
    let mut term = signal(SignalKind::terminate()).map_err(Error::other)?;
    let services = services();
    let names: Vec<&str> = services.iter().map(Service::name).collect();
    let repeats = std::env::var_os("TRIAL_REPEAT").is_some();
    let (eyes, ears) = (fuse.clone(), fuse);
    let running = Builder::new(services)
        .config(Config::load()?)
        .wrap_store(move |_, store| Arc::new(ObservedStore::new(store, eyes.clone())))
        .wrap_broker(move |broker| {
            let broker: Arc<dyn Broker> = if repeats {
                Arc::new(Repeating {
                    broker,
                    last: Mutex::default(),
                })
            } else {
                broker
            };
            Arc::new(ObservedBroker::new(broker, ears.clone()))
        })
        .start()
        .await?;
    running.ready(Duration::from_secs(20)).await?;
    let urls: Vec<String> = names
        .iter()
        .map(|name| format!("{name}={}", running.url(name).unwrap_or_default()))
        .collect();
    println!("ready {}", urls.join(" "));
    tokio::select! {
        _ = term.recv() => running.stop().await,
        why = running.failed() => {
            running.stop().await?;
            Err(Error::new(Kind::OutcomeUnknown, why))
        }
    }
}
