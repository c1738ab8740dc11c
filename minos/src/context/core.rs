//! What all units of work of one service share.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use super::Slots;
use crate::{clock::Clock, enroute::Resources, saga::Flow, store::Store};

/// One service, as its units of work see it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) slots: Slots,
    pub(crate) resources: Resources,
    pub(crate) sagas: BTreeMap<&'static str, Arc<dyn Flow>>,
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
