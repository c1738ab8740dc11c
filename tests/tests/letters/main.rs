//! Dead letters from outside: a service that follows another one's events, on both stacks.

mod story;

use std::{collections::BTreeSet, sync::Mutex};

use minos::prelude::*;

minos::service!("ward");

/// Whose second version one of the handlers cannot bear.
static SICK: Mutex<BTreeSet<Uuid>> = Mutex::new(BTreeSet::new());

/// The other service's counters, as far as this one cares.
#[aggregate_ref]
pub struct Counter {
    /// How far it has come.
    pub value: i64,
}

/// What a handler saw of a counter.
#[read_model]
pub struct Seen {
    /// Handler and counter.
    #[key]
    pub key: String,
    /// The versions, in the order in which they came.
    pub versions: Vec<u64>,
}

/// Which counter.
#[model]
pub struct Which {
    /// Its id.
    pub uuid: Uuid,
}

/// What all handlers saw of a counter.
#[model]
pub struct All {
    /// The handler that fails for some.
    pub frail: Vec<u64>,
    /// Its sibling.
    pub robust: Vec<u64>,
}

/// Two handlers of one event.
#[derive(Debug, Default)]
pub struct Ward;

#[query_service]
impl Ward {
    /// Fails for some, after it did what it does.
    #[enroute::broker::event("CounterUpdated")]
    async fn frail(&self, cx: &Context, event: Request<Updated<Counter>>) -> Result<()> {
        let (uuid, version) = (event.content().uuid(), event.content().version());
        see(cx, "frail", uuid, version).await?;
        let sick = SICK.lock().is_ok_and(|sick| sick.contains(&uuid));
        if sick && version == 2 {
            let kind = minos::error::Kind::Internal;
            return Err(Error::new(kind, "it cannot bear version 2"));
        }
        Ok(())
    }

    /// Never fails.
    #[enroute::broker::event("CounterUpdated")]
    async fn robust(&self, cx: &Context, event: Request<Updated<Counter>>) -> Result<()> {
        let (uuid, version) = (event.content().uuid(), event.content().version());
        see(cx, "robust", uuid, version).await
    }

    /// What was seen of a counter.
    #[enroute::rest::query("/seen/{uuid}", "GET")]
    async fn seen(&self, cx: &Context, request: Request<(), Which>) -> Result<All> {
        let uuid = request.params().uuid;
        Ok(All {
            frail: versions(cx, "frail", uuid).await?,
            robust: versions(cx, "robust", uuid).await?,
        })
    }
}

async fn versions(cx: &Context, handler: &str, uuid: Uuid) -> Result<Vec<u64>> {
    let seen = Seen::get(cx, &format!("{handler}/{uuid}")).await?;
    Ok(seen.map(|seen| seen.versions).unwrap_or_default())
}

async fn see(cx: &Context, handler: &str, uuid: Uuid, version: u64) -> Result<()> {
    let mut versions = versions(cx, handler, uuid).await?;
    versions.push(version);
    let key = format!("{handler}/{uuid}");
    Seen::upsert(cx, &Seen { key, versions })
}
