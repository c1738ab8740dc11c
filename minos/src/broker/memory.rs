//! A broker in memory, for tests: nothing survives the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};

use super::{Delivery, Error, Origin, Result, Subscription, Undecodable, share, wire};
use crate::message::Message;

/// The largest message, in bytes: what Kafka takes by default.
const LIMIT: usize = 1024 * 1024;
/// How long a member may finish what it got of a partition that moves to another member.
const GRACE: Duration = Duration::from_secs(10);

/// A log in memory. Clones share it.
///
/// ```
/// # use minos::broker::{Broker as _, memory::Broker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), minos::broker::Error> {
/// let broker = Broker::new();
/// broker.ensure_topics(&["Foo".into()]).await?;
/// let _member = broker.subscribe("shop", &["Foo".into()]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    partitions: u32,
    state: Mutex<State>,
    /// Moves with every change that somebody in `next` may wait for.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// The number of messages ever published.
    sequence: u64,
    /// The number of members that ever joined.
    joined: u64,
    topics: BTreeMap<String, Vec<Vec<Arc<Record>>>>,
    groups: BTreeMap<String, Group>,
}

/// One message as bytes: what is read back went through the same code as on every other backend.
struct Record {
    /// Its place among all messages of the broker.
    sequence: u64,
    envelope: Vec<u8>,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<u64, Vec<String>>,
    seats: BTreeMap<(String, u32), Seat>,
}

/// One partition as one group sees it.
struct Seat {
    owner: Option<u64>,
    /// The last offset that is done; -1 at the beginning.
    committed: i64,
    /// The last offset that the owner got.
    delivered: i64,
    /// Set while the partition moves to another member: when it does at the latest.
    leaves: Option<Instant>,
}

impl Broker {
    /// An empty log with 8 partitions per topic.
    #[must_use]
    pub fn new() -> Self {
        Self::with_partitions(8)
    }

    /// An empty log with this many partitions per topic, at least one.
    #[must_use]
    pub fn with_partitions(partitions: u32) -> Self {
        Self {
            shared: Arc::new(Shared {
                partitions: partitions.max(1),
                state: Mutex::default(),
                changed: watch::Sender::new(()),
            }),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("memory::Broker").finish_non_exhaustive()
    }
}

impl Shared {
    fn open(&self) -> Result<MutexGuard<'_, State>> {
        // A poisoned lock means that a test failed already; its state is whole after every statement here.
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if state.closed {
            return Err(Error::Unavailable("the broker is closed".into()));
        }
        Ok(state)
    }

    fn wake(&self) {
        self.changed.send_replace(());
    }
}

#[async_trait]
impl super::Broker for Broker {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn ensure_topics(&self, topics: &[String]) -> Result<()> {
        let mut state = self.shared.open()?;
        for topic in topics {
            if !state.topics.contains_key(topic) {
                let partitions = (0..self.shared.partitions).map(|_| Vec::new()).collect();
                state.topics.insert(topic.clone(), partitions);
            }
        }
        Ok(())
    }

    async fn publish(&self, messages: &[Message]) -> Result<()> {
        let mut records = Vec::with_capacity(messages.len());
        for message in messages {
            let mut envelope = Vec::new();
            let (head, body) =
                wire::append(message, &mut envelope).map_err(|e| Error::Backend(e.into()))?;
            let size = head + body;
            if size > LIMIT {
                return Err(Error::TooLarge { size, limit: LIMIT });
            }
            let payload = envelope.split_off(head);
            records.push((message, envelope, payload));
        }
        let mut state = self.shared.open()?;
        if let Some(missing) = messages
            .iter()
            .find(|m| !state.topics.contains_key(&m.topic))
        {
            return Err(Error::NoTopic(missing.topic.clone()));
        }
        for (message, envelope, payload) in records {
            state.push(&message.topic, &message.key, envelope, payload);
        }
        drop(state);
        self.shared.wake();
        Ok(())
    }

    async fn subscribe(&self, group: &str, topics: &[String]) -> Result<Box<dyn Subscription>> {
        let mut state = self.shared.open()?;
        if let Some(missing) = topics.iter().find(|t| !state.topics.contains_key(*t)) {
            return Err(Error::NoTopic(missing.clone()));
        }
        state.joined += 1;
        let id = state.joined;
        let members = &mut state.groups.entry(group.to_owned()).or_default().members;
        members.insert(id, topics.to_vec());
        state.share_out(group);
        drop(state);
        self.shared.wake();
        Ok(Box::new(Member {
            shared: Arc::clone(&self.shared),
            changed: self.shared.changed.subscribe(),
            group: group.to_owned(),
            id,
        }))
    }

    fn decode(&self, origin: &Origin, bytes: &[u8]) -> Result<Message, Undecodable> {
        wire::decode_raw(&origin.topic, bytes)
    }

    async fn health(&self) -> Result<()> {
        self.shared.open().map(drop)
    }

    async fn close(&self) {
        if let Ok(mut state) = self.shared.open() {
            state.closed = true;
        }
        self.shared.wake();
    }
}

impl State {
    fn push(&mut self, topic: &str, key: &str, envelope: Vec<u8>, payload: Vec<u8>) {
        let Some(partitions) = self.topics.get_mut(topic) else {
            return;
        };
        let count = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        self.sequence += 1;
        partitions[share::partition(key, count) as usize].push(Arc::new(Record {
            sequence: self.sequence,
            envelope,
            payload,
        }));
    }

    /// Gives every member its quota of each topic; answers when the next partition has to move.
    fn share_out(&mut self, group: &str) -> Option<Instant> {
        let now = Instant::now();
        let group = self.groups.get_mut(group)?;
        let topics: BTreeSet<_> = group.members.values().flatten().cloned().collect();
        let mut next: Option<Instant> = None;
        for topic in topics {
            let count = self.topics.get(&topic).map_or(0, Vec::len);
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            for partition in 0..count {
                let seat = (topic.clone(), partition);
                group.seats.entry(seat).or_insert_with(Seat::new);
            }
            let quotas = group.quotas(&topic, count);
            for (id, quota) in &quotas {
                let deadline = group.give_up(&topic, *id, *quota, now);
                next = next.into_iter().chain(deadline).min();
            }
            for (id, quota) in quotas {
                group.take(&topic, id, quota);
            }
        }
        next
    }
}

impl Group {
    fn quotas(&self, topic: &String, count: u32) -> Vec<(u64, usize)> {
        let members: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(id, _)| *id)
            .collect();
        let quota = |(rank, id)| (id, share::quota(topic, count, rank, members.len()));
        members.iter().copied().enumerate().map(quota).collect()
    }

    fn seats_of<'a>(
        &'a mut self,
        topic: &'a str,
        owner: Option<u64>,
    ) -> impl Iterator<Item = &'a mut Seat> {
        self.seats
            .iter_mut()
            .filter(move |((of, _), seat)| of == topic && seat.owner == owner)
            .map(|(_, seat)| seat)
    }

    /// Frees what a member has above its quota, once it is done with it or its time is up.
    fn give_up(&mut self, topic: &str, id: u64, quota: usize, now: Instant) -> Option<Instant> {
        let mut seats: Vec<_> = self.seats_of(topic, Some(id)).collect();
        // First what moves already, then what costs nothing to move.
        seats.sort_by_key(|s| (s.leaves.is_none(), s.committed < s.delivered));
        let surplus = seats.len().saturating_sub(quota);
        let mut next = None;
        for (i, seat) in seats.into_iter().enumerate() {
            if i >= surplus {
                seat.leaves = None;
                continue;
            }
            let deadline = *seat.leaves.get_or_insert(now + GRACE);
            if seat.committed >= seat.delivered || deadline <= now {
                seat.free();
            } else {
                next = next.into_iter().chain([deadline]).min();
            }
        }
        next
    }

    /// Gives free partitions to a member up to its quota.
    fn take(&mut self, topic: &str, id: u64, quota: usize) {
        let held = self.seats_of(topic, Some(id)).count();
        let wanted = quota.saturating_sub(held);
        for seat in self.seats_of(topic, None).take(wanted) {
            seat.owner = Some(id);
        }
    }
}

impl Seat {
    fn new() -> Self {
        Self {
            owner: None,
            committed: -1,
            delivered: -1,
            leaves: None,
        }
    }

    /// The next owner starts at the committed offset.
    fn free(&mut self) {
        self.owner = None;
        self.delivered = self.committed;
        self.leaves = None;
    }
}

/// One member of a group; dropping it leaves.
struct Member {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    group: String,
    id: u64,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("memory::Member")
            .field("group", &self.group)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Member {
    /// What is there for this member now, and when it pays to look again.
    fn take(&self, max: usize) -> Result<(Vec<Delivery>, Option<Instant>)> {
        let mut guard = self.shared.open()?;
        let again = guard.share_out(&self.group);
        let state = &mut *guard;
        let mut found = Vec::new();
        let seats = state.groups.get(&self.group).map(|group| &group.seats);
        for ((topic, partition), seat) in seats.into_iter().flatten() {
            if seat.owner != Some(self.id) || seat.leaves.is_some() {
                continue;
            }
            let records = state.topics.get(topic).map(|t| &t[*partition as usize]);
            let first = usize::try_from(seat.delivered + 1).unwrap_or_default();
            for (offset, record) in records.into_iter().flatten().enumerate().skip(first) {
                let origin = Origin {
                    topic: topic.clone(),
                    partition: *partition,
                    offset: i64::try_from(offset).unwrap_or(i64::MAX),
                };
                found.push((origin, Arc::clone(record)));
                if offset - first + 1 == max {
                    break;
                }
            }
        }
        // Oldest first; a partition stays in order, for its sequence numbers rise.
        found.sort_by_key(|(_, record)| record.sequence);
        found.truncate(max);
        if let Some(group) = state.groups.get_mut(&self.group) {
            for (origin, _) in &found {
                let seat = group
                    .seats
                    .get_mut(&(origin.topic.clone(), origin.partition));
                if let Some(seat) = seat {
                    seat.delivered = origin.offset;
                }
            }
        }
        drop(guard);
        let decode = |(origin, record): (Origin, Arc<Record>)| Delivery {
            message: wire::decode(
                &origin.topic,
                wire::FORMAT,
                &record.envelope,
                &record.payload,
            ),
            origin,
        };
        Ok((found.into_iter().map(decode).collect(), again))
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        loop {
            self.changed.borrow_and_update();
            let (found, again) = self.take(max.max(1))?;
            if !found.is_empty() {
                return Ok(found);
            }
            // The sender lives in `shared`, so `changed` cannot fail.
            match again {
                Some(at) => drop(tokio::time::timeout_at(at, self.changed.changed()).await),
                None => drop(self.changed.changed().await),
            }
        }
    }

    async fn commit(&mut self, done: &[Origin]) -> Result<()> {
        let mut state = self.shared.open()?;
        let mut moves = false;
        if let Some(group) = state.groups.get_mut(&self.group) {
            for origin in done {
                let place = (origin.topic.clone(), origin.partition);
                let Some(seat) = group.seats.get_mut(&place) else {
                    continue;
                };
                if seat.owner == Some(self.id) && origin.offset <= seat.delivered {
                    seat.committed = seat.committed.max(origin.offset);
                    moves |= seat.leaves.is_some();
                }
            }
        }
        if moves {
            state.share_out(&self.group);
            drop(state);
            self.shared.wake();
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Ok(mut state) = self.shared.open() else {
            return;
        };
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.members.remove(&self.id);
            let seats = group.seats.values_mut();
            for seat in seats.filter(|seat| seat.owner == Some(self.id)) {
                seat.free();
            }
        }
        state.share_out(&self.group);
        drop(state);
        self.shared.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::conformance::{self, Fixture};

    struct Memory(Broker);

    #[async_trait]
    impl Fixture for Memory {
        fn broker(&self) -> Arc<dyn crate::broker::Broker> {
            Arc::new(self.0.clone())
        }

        fn limit(&self) -> usize {
            LIMIT
        }

        async fn inject(&self, topic: &str, key: &str, bytes: &[u8]) {
            let mut state = self.0.shared.open().unwrap();
            state.push(topic, key, bytes.to_vec(), Vec::new());
            drop(state);
            self.0.shared.wake();
        }
    }

    conformance::suite!(conforms, Memory(Broker::new()));
}
