//! Units that wait for a commit, in the order in which they came.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

use tokio::sync::{Notify, oneshot};

use super::keys::{Key, Keys, Step, Taken};
use crate::store::{Guard, Result, UnitOfWork};

/// A unit, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) unit: UnitOfWork,
    pub(super) answer: oneshot::Sender<Result<()>>,
    keys: Keys,
    step: Option<Step>,
}

/// Units with one outcome: one, or a chain in which each expects what the one before reaches.
pub(super) type Group = Vec<Job>;

impl Job {
    pub(super) fn new(unit: UnitOfWork) -> (Self, oneshot::Receiver<Result<()>>) {
        let (answer, answered) = oneshot::channel();
        let (keys, step) = (Keys::of(&unit), Step::of(&unit));
        let job = Self {
            unit,
            answer,
            keys,
            step,
        };
        (job, answered)
    }
}

/// How many units that cannot run yet are passed over when a batch is gathered.
const PASSED: usize = 512;

/// After so many units alone, the next is not waited for.
const CALM: u32 = 16;

/// The queue of all committers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    taken: Taken,
    running: usize,
    /// How many units came alone since some came together.
    calm: u32,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Adds a unit; `false` once the store is closed.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_one();
        true
    }

    /// The next units that may be decided together, or [`None`] once closed and empty. They count as running until
    /// [`done`](Self::done).
    pub(super) async fn next(&self, most: usize) -> Option<Vec<Group>> {
        if self.state().calm < CALM {
            // Those who were just answered get the time to come with their next unit.
            tokio::task::yield_now().await;
        }
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                let batch = state.gather(most);
                if !batch.is_empty() {
                    let units = batch.iter().map(Vec::len).sum::<usize>();
                    state.running += units;
                    if units > 1 {
                        state.calm = 0;
                    }
                    let more = !state.waiting.is_empty();
                    drop(state);
                    if more {
                        self.changed.notify_one();
                    }
                    return Some(batch);
                }
                if state.closed && state.waiting.is_empty() {
                    drop(state);
                    // The others leave, too.
                    self.changed.notify_one();
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Lets a unit pass at once if nothing else is under way; it counts as running until the pass is dropped.
    pub(super) fn pass<'q>(&'q self, unit: &UnitOfWork) -> Option<Pass<'q>> {
        let mut state = self.state();
        state.calm = state.calm.saturating_add(1);
        let busy = state.running > 0 || !state.waiting.is_empty();
        if busy || state.closed || state.calm < CALM {
            return None;
        }
        let keys = Keys::of(unit);
        state.taken.take(&keys);
        state.running = 1;
        drop(state);
        Some(Pass { queue: self, keys })
    }

    /// Answers a unit: others may touch its rows now.
    pub(super) fn done(&self, job: Job, outcome: Result<()>) {
        self.free(&job.keys);
        job.answer.send(outcome).ok();
    }

    fn free(&self, keys: &Keys) {
        let mut state = self.state();
        state.taken.free(keys);
        state.running -= 1;
        let idle = state.running == 0 && state.waiting.is_empty();
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.changed.notify_one();
        }
        if idle {
            self.idle.notify_waiters();
        }
    }

    /// Takes no more; what waits is still done.
    pub(super) fn shut(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Takes no more, and waits until all is done.
    pub(super) async fn close(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            self.shut();
            let done = {
                let state = self.state();
                state.running == 0 && state.waiting.is_empty()
            };
            if done {
                return;
            }
            idle.await;
        }
    }
}

/// The right of one unit to be committed by its own caller.
#[derive(Debug)]
pub(super) struct Pass<'q> {
    queue: &'q Queue,
    keys: Keys,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.queue.free(&self.keys);
    }
}

impl State {
    /// Takes units from the front. One that shares a row with a unit in flight, or with one that waits before it,
    /// stays where it is; one that goes on where a unit of this batch ends is linked to it.
    fn gather(&mut self, most: usize) -> Vec<Group> {
        let mut batch: Vec<Group> = Vec::new();
        let mut ends: HashMap<Key, (usize, Guard)> = HashMap::new();
        let (mut taken, mut passed, mut before) = (0, Vec::new(), Taken::default());
        while taken < most && passed.len() < PASSED {
            let Some(job) = self.waiting.pop_front() else {
                break;
            };
            let linked = job.step.and_then(|step| {
                let (group, end) = ends.get(&step.row).copied()?;
                (step.from == Some(end)).then_some((group, step.row))
            });
            let but = linked.map(|(_, row)| row);
            if self.taken.clashes_but(&job.keys, but) || before.clashes(&job.keys) {
                before.take(&job.keys);
                passed.push(job);
                continue;
            }
            taken += 1;
            self.taken.take(&job.keys);
            let group = linked.map_or(batch.len(), |(group, _)| group);
            if let Some(step) = job.step {
                ends.insert(step.row, (group, step.to));
            }
            match batch.get_mut(group) {
                Some(chain) => chain.push(job),
                None => batch.push(vec![job]),
            }
        }
        for job in passed.into_iter().rev() {
            self.waiting.push_front(job);
        }
        batch
    }
}
