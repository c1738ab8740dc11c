//! What all units of work of one service share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::Slots;
use crate::{
    clock::Clock,
    enroute::Resources,
    saga::Flow,
    store::{SagaRow, Store},
};

/// One service, as its units of work see it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) slots: Slots,
    pub(crate) resources: Resources,
    pub(crate) sagas: BTreeMap<&'static str, Arc<dyn Flow>>,
    pub(crate) soon: Soon,
    pub(crate) limits: Limits,
    /// Where submitted units are finished, whatever happens to their callers.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Says why the service must not go on: nobody knows what its store has.
    pub(crate) fatal: watch::Sender<Option<String>>,
}

/// How often things are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Runs of a handler whose commit conflicts.
    pub(crate) reruns: u32,
    /// Submissions of a unit whose outcome is unknown.
    pub(crate) resubmits: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reruns: 16,
            resubmits: 10,
        }
    }
}

/// Sagas as this process has just committed them, whose next step runs here: whoever looks after what is due takes them
/// from here, and need not ask the store. What is lost on the way is found there.
#[derive(Debug, Default)]
pub(crate) struct Soon {
    rows: Mutex<VecDeque<(Instant, SagaRow)>>,
    come: Notify,
}

impl Soon {
    /// So many wait at most; the others are found in the store.
    const MOST: usize = 256;

    fn rows(&self) -> MutexGuard<'_, VecDeque<(Instant, SagaRow)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one that is committed.
    pub(crate) fn add(&self, row: SagaRow) {
        let mut rows = self.rows();
        if rows.len() < Self::MOST {
            rows.push_back((Instant::now(), row));
            drop(rows);
            self.come.notify_one();
        }
    }

    /// All of them, with when they came.
    pub(crate) fn take(&self) -> VecDeque<(Instant, SagaRow)> {
        std::mem::take(&mut *self.rows())
    }

    /// Waits for one.
    pub(crate) async fn some(&self) {
        self.come.notified().await;
    }
}
