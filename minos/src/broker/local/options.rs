//! What can be chosen about the embedded broker.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{Error, Result},
    clock::{Clock, SystemClock},
};

/// The most partitions a topic may have.
const MOST: u32 = 1024;

/// What can be chosen when a [`Broker`](super::Broker) is opened.
///
/// ```
/// # use std::time::Duration;
/// let options = minos::broker::local::Options::default()
///     .partitions(16)
///     .lease(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) partitions: u32,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) poll: Duration,
    pub(super) patience: Duration,
    pub(super) limit: usize,
    pub(super) clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 8,
            lease: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            poll: Duration::from_millis(50),
            patience: Duration::from_secs(10),
            limit: 1024 * 1024,
            clock: Arc::new(SystemClock),
        }
    }
}

impl Options {
    /// The number of partitions of topics that are created from now on; 8 if not set.
    ///
    /// A topic keeps the number that it was created with.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// How long a member that shows no life keeps its partitions; 10 s if not set.
    ///
    /// A member renews its lease three times as often.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long a member may finish what it got of a partition that moves to another member; 10 s if not set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How often an idle process looks for messages of other processes; every 50 ms if not set.
    ///
    /// While others are at work it looks more often. Messages of the same process do not wait for this.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// How long to wait for other processes that are writing; 10 s if not set.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The largest message in bytes; 1 MiB if not set, which is what Kafka takes by default.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Where stored times, leases and jitter come from; the machine's clock if not set.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Backend(what.into()));
        if !(1..=MOST).contains(&self.partitions) {
            let given = self.partitions;
            return wrong(format!("partitions is {given}: it must be 1 to {MOST}"));
        }
        for (name, given) in [("lease", self.lease), ("poll", self.poll)] {
            if given.is_zero() || given > Duration::from_secs(24 * 60 * 60) {
                return wrong(format!(
                    "{name} is {given:?}: it must be above 0 and up to a day"
                ));
            }
        }
        Ok(())
    }
}
