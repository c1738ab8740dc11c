//! Who looks on while a saga runs: counts the moments, and ends everything at one of them.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::witness::Witness;
use crate::{
    broker::Delivery,
    message::{Message, Origin},
    testing::observed::{Moment, Observer},
};

/// The eyes and the fuse of one process.
#[derive(Debug)]
pub(super) struct Fuse {
    at: Option<usize>,
    passed: AtomicUsize,
    /// At which moment everything ended.
    pub(super) blown: watch::Sender<Option<String>>,
    /// The last moment.
    last: Mutex<String>,
    /// What this process has published, perhaps again.
    sent: Mutex<HashSet<Uuid>>,
    witness: Arc<Witness>,
}

impl Fuse {
    pub(super) fn new(at: Option<usize>, witness: Arc<Witness>) -> Self {
        Self {
            at,
            passed: AtomicUsize::new(0),
            blown: watch::Sender::new(None),
            last: Mutex::default(),
            sent: Mutex::default(),
            witness,
        }
    }

    /// How many moments there were.
    pub(super) fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    /// What the last one was.
    pub(super) fn last(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Whether this process has published a message.
    pub(super) fn has_sent(&self, message: Uuid) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.contains(&message)
    }

    fn sent(&self, messages: &[Message]) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend(messages.iter().map(|m| m.id));
        self.witness.published(messages);
    }

    async fn pass(&self, side: &str, moment: &Moment<'_>) {
        let n = self.passed.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            format!("{side} {}", name(moment));
        if self.at.is_some_and(|at| n >= at) {
            // The first one; the others come too late.
            if Some(n) == self.at {
                let at = format!("{side} moment {n}, {}", name(moment));
                self.blown.send_replace(Some(at));
            }
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Observer for Fuse {
    async fn before(&self, moment: Moment<'_>) {
        self.pass("before", &moment).await;
        if let Moment::Commit(unit) = moment {
            self.witness.views(unit);
        }
    }

    async fn after(&self, moment: Moment<'_>) {
        match moment {
            Moment::Commit(unit) => self.witness.committed(unit),
            Moment::Publish(messages) => self.sent(messages),
            Moment::Cursor(_) | Moment::Offsets(_) => {}
        }
        self.pass("after", &moment).await;
    }

    fn joined(&self, group: &str, topics: &[String]) {
        self.witness.joined(group, topics);
    }

    fn delivered(&self, group: &str, deliveries: &[Delivery]) {
        self.witness.delivered(group, deliveries);
    }

    fn done(&self, group: &str, done: &[Origin]) {
        self.witness.done(group, done);
    }
}

fn name(moment: &Moment<'_>) -> String {
    match moment {
        Moment::Commit(unit) => {
            let sagas = unit
                .sagas
                .iter()
                .map(|(row, _)| format!("{} {}", row.name, row.status));
            let events = unit
                .writes
                .iter()
                .flat_map(|w| &w.events)
                .map(|e| e.name.clone());
            let all: Vec<String> = sagas.chain(events).collect();
            format!("a commit of [{}]", all.join(", "))
        }
        Moment::Cursor(name) => format!("a step of `{name}`"),
        Moment::Publish(messages) => {
            let names: Vec<&str> = messages.iter().map(|m| m.name.as_str()).collect();
            format!("the publication of [{}]", names.join(", "))
        }
        Moment::Offsets(_) => "a commit of offsets".to_owned(),
    }
}
