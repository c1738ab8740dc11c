//! A member of a group: what it owns, how far it is, and the task that keeps it alive.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Options, error,
    lease::{Owned, Renewal, Standing},
    topic::{Topic, lock},
    writer::{Op, Queue},
};
use crate::{
    broker::{Delivery, Error, Origin, Result},
    clock::Clock,
};

/// A topic's id and a partition.
pub(super) type Place = (i64, u32);

/// One member of a group, in this process.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) group: String,
    pub(super) topics: Vec<Arc<Topic>>,
    /// Wakes `next`.
    pub(super) wake: Notify,
    /// Wakes the task that keeps it alive.
    pub(super) poke: Notify,
    clock: Arc<dyn Clock>,
    lease: Duration,
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: BTreeMap<Place, Held>,
    /// Until when others believe that it lives.
    until: DateTime<Utc>,
    /// Counts how often a partition was taken, to tell apart having it from having it again.
    tenures: u64,
    /// Which partition is read first, so that each has its turn.
    turn: usize,
    misfit: Option<String>,
    failure: Option<Error>,
    closed: bool,
}

impl State {
    fn check(&self) -> Result<()> {
        match &self.misfit {
            Some(misfit) => Err(Error::Backend(misfit.clone().into())),
            None => Ok(()),
        }
    }
}

/// A partition that the member owns.
struct Held {
    topic: Arc<Topic>,
    tenure: u64,
    /// The last offset that is done.
    committed: i64,
    /// The last offset that `next` answered.
    delivered: i64,
    /// No message up to here was left behind by the last read.
    read: i64,
    /// Set while the partition moves to another member: when it does at the latest.
    leaves: Option<Instant>,
}

impl Held {
    fn is_idle(&self) -> bool {
        self.delivered <= self.committed
    }
}

/// A partition where messages wait.
pub(super) struct Want {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: u32,
    /// The last offset that was delivered.
    pub(super) after: i64,
    tenure: u64,
    head: i64,
}

impl Member {
    pub(super) fn new(group: &str, topics: Vec<Arc<Topic>>, options: &Options) -> Self {
        Self {
            // Not from the clock: two processes whose clocks are fixed must not be one member.
            id: Uuid::new_v4().simple().to_string(),
            group: group.to_owned(),
            topics,
            wake: Notify::new(),
            poke: Notify::new(),
            clock: Arc::clone(&options.clock),
            lease: options.lease,
            grace: options.grace,
            state: Mutex::default(),
        }
    }

    /// Fails if a cursor of the group does not fit the log.
    pub(super) fn check(&self) -> Result<()> {
        lock(&self.state).check()
    }

    /// The partitions where messages wait; at most `max`, for each gives at least one.
    pub(super) fn wants(&self, max: usize) -> Result<Vec<Want>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        state.check()?;
        if state.closed {
            return Err(error::closed());
        }
        let left = state.until - self.clock.now();
        let lease = chrono::TimeDelta::from_std(self.lease).unwrap_or_default();
        if left <= chrono::TimeDelta::zero() || left > lease * 2 {
            // Others may have taken over: ask before anything more is delivered.
            self.poke.notify_one();
            return Ok(Vec::new());
        }
        let mut wants: Vec<_> = state
            .held
            .iter()
            .filter(|(_, held)| held.leaves.is_none())
            .map(|((_, partition), held)| Want {
                topic: Arc::clone(&held.topic),
                partition: *partition,
                after: held.delivered,
                tenure: held.tenure,
                head: held.topic.head(*partition),
            })
            .collect();
        wants.retain(|want| {
            let held = state.held.get(&(want.topic.id, want.partition));
            held.is_some_and(|held| want.head > held.read.max(held.delivered))
        });
        if !wants.is_empty() {
            let turn = state.turn % wants.len();
            wants.rotate_left(turn);
            wants.truncate(max);
            state.turn = state.turn.wrapping_add(1);
        }
        Ok(wants)
    }

    /// Takes note of what is delivered, and drops what is not the member's any more.
    pub(super) fn deliver(
        &self,
        wants: &[Want],
        limit: usize,
        found: Vec<Delivery>,
    ) -> Vec<Delivery> {
        let mut state = lock(&self.state);
        let mut of_place: BTreeMap<(&str, u32), (usize, i64)> = BTreeMap::new();
        for delivery in &found {
            let Origin {
                topic,
                partition,
                offset,
            } = &delivery.origin;
            let counted = of_place.entry((topic, *partition)).or_default();
            *counted = (counted.0 + 1, *offset);
        }
        let mut lost = Vec::new();
        for want in wants {
            let place = (&*want.topic.name, want.partition);
            let (count, last) = of_place.get(&place).copied().unwrap_or_default();
            let held = state.held.get_mut(&(want.topic.id, want.partition));
            match held {
                Some(held) if held.tenure == want.tenure && held.leaves.is_none() => {
                    held.delivered = held.delivered.max(last);
                    if count < limit {
                        held.read = held.read.max(want.head);
                    }
                }
                _ => lost.push((want.topic.name.clone(), want.partition)),
            }
        }
        drop(state);
        let mine = |d: &Delivery| {
            let mut lost = lost.iter();
            !lost.any(|(topic, partition)| {
                d.origin.topic == *topic && d.origin.partition == *partition
            })
        };
        found.into_iter().filter(mine).collect()
    }

    /// The highest of the given offsets per partition, without those that are not this member's to commit.
    pub(super) fn commits(&self, done: &[Origin]) -> BTreeMap<Place, i64> {
        let state = lock(&self.state);
        let mut commits = BTreeMap::new();
        for origin in done {
            let topic = self.topics.iter().find(|t| t.name == origin.topic);
            let place = topic.map(|t| (t.id, origin.partition));
            if let Some(place) = place
                && let Some(held) = state.held.get(&place)
                && origin.offset <= held.delivered
                && origin.offset > held.committed
            {
                let highest = commits.entry(place).or_insert(origin.offset);
                *highest = origin.offset.max(*highest);
            }
        }
        commits
    }

    /// The writer has stored it.
    pub(super) fn committed(&self, place: Place, offset: i64) {
        let mut state = lock(&self.state);
        if let Some(held) = state.held.get_mut(&place) {
            held.committed = held.committed.max(offset);
            if held.leaves.is_some() && held.is_idle() {
                self.poke.notify_one();
            }
        }
    }

    fn renewal(&self) -> Renewal {
        let state = lock(&self.state);
        let now = Instant::now();
        let may_go = |held: &Held| held.leaves.is_some_and(|at| held.is_idle() || at <= now);
        let release = state.held.iter().filter(|(_, held)| may_go(held));
        Renewal {
            id: self.id.clone(),
            group: self.group.clone(),
            topics: self.topics.clone(),
            release: release.map(|(place, _)| *place).collect(),
            now: self.clock.now(),
            lease: i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// Takes over where it stands now; answers whether there is more to do at once.
    fn apply(&self, asked: DateTime<Utc>, standing: Standing) -> bool {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.until = asked + self.lease;
        if let Some(misfit) = standing.misfit.as_ref().filter(|_| state.misfit.is_none()) {
            tracing::error!("{misfit}");
        }
        state.misfit = standing.misfit;
        let mut before = std::mem::take(&mut state.held);
        for owned in standing.owned {
            let held = match (owned.taken, before.remove(&owned.place)) {
                (None, Some(held)) => Some(held),
                _ => self.take(state, &owned),
            };
            if let Some(held) = held {
                state.held.insert(owned.place, held);
            }
        }
        for ((_, partition), held) in before.iter().filter(|(_, held)| held.leaves.is_none()) {
            let (group, topic) = (&self.group, &held.topic.name);
            tracing::warn!(
                group,
                topic,
                partition,
                "lost a partition: the lease had expired"
            );
        }
        let mut more = false;
        for topic in &self.topics {
            let surplus = standing.surplus.get(&topic.id).copied().unwrap_or_default();
            let mut held: Vec<_> = state
                .held
                .iter_mut()
                .filter(|((id, _), _)| *id == topic.id)
                .map(|(_, held)| held)
                .collect();
            // First what moves already, then what costs nothing to move.
            held.sort_by_key(|held| (held.leaves.is_none(), !held.is_idle()));
            for (i, held) in held.into_iter().enumerate() {
                if i < surplus {
                    more |= held.leaves.is_none() && held.is_idle();
                    held.leaves.get_or_insert(Instant::now() + self.grace);
                } else {
                    held.leaves = None;
                }
            }
        }
        drop(guard);
        self.wake.notify_one();
        more
    }

    /// A partition that is new, or new again: it starts where the group is.
    fn take(&self, state: &mut State, owned: &Owned) -> Option<Held> {
        let (id, partition) = owned.place;
        let topic = self.topics.iter().find(|t| t.id == id)?;
        topic.raise(partition, owned.taken.unwrap_or_default());
        state.tenures += 1;
        Some(Held {
            topic: Arc::clone(topic),
            tenure: state.tenures,
            committed: owned.committed,
            delivered: owned.committed,
            read: 0,
            leaves: None,
        })
    }

    /// When the next partition has to move.
    fn next_leave(&self) -> Option<Instant> {
        let state = lock(&self.state);
        state.held.values().filter_map(|held| held.leaves).min()
    }

    fn fail(&self, failure: Error) {
        lock(&self.state).failure = Some(failure);
        self.wake.notify_one();
    }

    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.held.clear();
        drop(state);
        self.wake.notify_one();
    }

    async fn renew(&self, queue: &Queue) -> Result<()> {
        loop {
            let renewal = self.renewal();
            // The time from before the question: the answer may be old when it comes.
            let asked = renewal.now;
            let standing = queue.ask(|answer| Op::Renew(renewal, answer)).await?;
            if !self.apply(asked, standing) {
                return Ok(());
            }
        }
    }
}

/// Lives: joins, renews the lease in time, gives up what others wait for; leaves when its subscription is dropped.
pub(super) async fn live(
    member: Arc<Member>,
    queue: Queue,
    joined: oneshot::Sender<Result<()>>,
    mut left: oneshot::Receiver<()>,
    mut closing: watch::Receiver<bool>,
) {
    let mut joined = Some(joined);
    loop {
        let mut again = Instant::now() + member.lease / 3;
        let renewed = member.renew(&queue).await;
        if let Some(joined) = joined.take() {
            // Who asked may have given up; then `left` is ready as well.
            let _ = joined.send(renewed);
        } else if let Err(e) = renewed {
            tracing::warn!(group = member.group, error = ?e, "the lease cannot be renewed");
            member.fail(e);
            again = again.min(Instant::now() + Duration::from_millis(500));
        }
        let again = again.min(member.next_leave().unwrap_or(again));
        tokio::select! {
            _ = &mut left => break,
            _ = closing.wait_for(|closing| *closing) => break,
            () = member.poke.notified() => {}
            () = tokio::time::sleep_until(again) => {}
        }
    }
    member.close();
    // If that fails the lease ends by itself.
    let _ = queue
        .ask(|answer| Op::Leave(Arc::clone(&member), answer))
        .await;
}

#[cfg(test)]
mod tests;
