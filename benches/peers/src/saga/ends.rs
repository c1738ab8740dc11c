//! When sagas end: at the commit that ends them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use async_trait::async_trait;
use minos::{
    Uuid,
    testing::{Moment, Observer},
};
use tokio::sync::oneshot;

/// How a saga ended, and when.
pub(super) type End = (String, Instant);

/// A saga that ended before anybody asked, or somebody who asked before it ended.
#[derive(Debug)]
enum Known {
    Ended(End),
    Awaited(oneshot::Sender<End>),
}

/// Looks at the commits of the service that has the sagas.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<HashMap<Uuid, Known>>);

impl Ends {
    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Known>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits for the end of a saga.
    pub(super) async fn of(&self, saga: Uuid) -> crate::Result<End> {
        let (tell, told) = oneshot::channel();
        let before = self.all().insert(saga, Known::Awaited(tell));
        if let Some(Known::Ended(end)) = before {
            self.all().remove(&saga);
            return Ok(end);
        }
        Ok(told.await?)
    }
}

#[async_trait]
impl Observer for Ends {
    async fn before(&self, _: Moment<'_>) {}

    async fn after(&self, moment: Moment<'_>) {
        let Moment::Commit(unit) = moment else { return };
        let ended = |status: &str| !matches!(status, "running" | "compensating");
        for (row, _) in unit.sagas.iter().filter(|(row, _)| ended(&row.status)) {
            let end = (row.status.clone(), Instant::now());
            let mut all = self.all();
            match all.remove(&row.id) {
                Some(Known::Awaited(tell)) => drop(tell.send(end)),
                _ => drop(all.insert(row.id, Known::Ended(end))),
            }
        }
    }
}
