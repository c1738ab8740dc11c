//! A member that handles and commits, and what all of them handled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::watch, task::JoinHandle};

use super::*;

/// What was handled, in the order in which it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Handled(Arc<Mutex<Vec<(String, u64)>>>);

impl Handled {
    pub(super) fn add(&self, delivery: &Delivery) {
        let key = delivery.message.as_ref().unwrap().key.clone();
        self.0.lock().unwrap().push((key, number(delivery)));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap().len() as u64
    }

    /// How many it would be if nothing had come twice.
    pub(super) fn distinct(&self) -> u64 {
        let all = self.0.lock().unwrap();
        all.iter().collect::<BTreeSet<_>>().len() as u64
    }

    /// What comes for the first time comes in the order in which it was published, without a gap.
    pub(super) fn check_order(&self) {
        let mut next: BTreeMap<String, u64> = BTreeMap::new();
        for (key, n) in &*self.0.lock().unwrap() {
            let next = next.entry(key.clone()).or_default();
            assert!(*n <= *next, "{key}: {n} before {next}");
            *next = (*next).max(n + 1);
        }
    }
}

/// A member at work.
pub(super) struct Worker {
    own: Arc<AtomicU64>,
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start(member: Box<dyn Subscription>, all: &Handled) -> Self {
        let (leave, leaves) = watch::channel(false);
        let own = Arc::new(AtomicU64::new(0));
        Self {
            task: tokio::spawn(work(member, all.clone(), own.clone(), leaves)),
            own,
            leave,
        }
    }

    /// How many messages it handled.
    pub(super) fn count(&self) -> u64 {
        self.own.load(Ordering::SeqCst)
    }

    pub(super) async fn leave(self) {
        self.leave.send_replace(true);
        self.task.await.unwrap();
    }
}

async fn work(
    mut member: Box<dyn Subscription>,
    all: Handled,
    own: Arc<AtomicU64>,
    mut leaves: watch::Receiver<bool>,
) {
    loop {
        let next = tokio::select! {
            next = member.next(20) => next.unwrap(),
            _ = leaves.wait_for(|leave| *leave) => return,
        };
        for delivery in &next {
            all.add(delivery);
            own.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        let done: Vec<Origin> = next.into_iter().map(|d| d.origin).collect();
        member.commit(&done).await.unwrap();
    }
}
