//! What this process knows about topics, and whom it wakes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicI64, Ordering},
    },
};

use super::member::Member;

/// A topic and how far its partitions reach.
pub(super) struct Topic {
    pub(super) id: i64,
    pub(super) name: String,
    /// The number of partitions; it never changes.
    pub(super) partitions: u32,
    /// Per partition an offset that no known message lies above. There may be none at it.
    heads: Box<[AtomicI64]>,
    readers: Mutex<Vec<Weak<Member>>>,
}

impl Topic {
    fn new(id: i64, name: &str, partitions: u32) -> Self {
        Self {
            id,
            name: name.to_owned(),
            partitions,
            heads: (0..partitions).map(|_| AtomicI64::new(0)).collect(),
            readers: Mutex::default(),
        }
    }

    pub(super) fn head(&self, partition: u32) -> i64 {
        let head = self.heads.get(partition as usize);
        head.map_or(0, |head| head.load(Ordering::Acquire))
    }

    /// Answers whether that is news.
    pub(super) fn raise(&self, partition: u32, offset: i64) -> bool {
        let head = self.heads.get(partition as usize);
        head.is_some_and(|head| head.fetch_max(offset, Ordering::AcqRel) < offset)
    }

    /// Wakes the members of this process that read it.
    pub(super) fn wake(&self) {
        for member in live(&mut lock(&self.readers)) {
            member.wake.notify_one();
        }
    }

    fn is_read(&self) -> bool {
        lock(&self.readers).iter().any(|m| m.strong_count() > 0)
    }
}

/// Where the writer, the members and the publishers of one process meet.
#[derive(Default)]
pub(super) struct Hub {
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    groups: Mutex<BTreeMap<String, Vec<Weak<Member>>>>,
}

impl Hub {
    pub(super) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned()
    }

    pub(super) fn add(&self, id: i64, name: &str, partitions: u32) -> Arc<Topic> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let topic = topics
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Topic::new(id, name, partitions)));
        Arc::clone(topic)
    }

    /// The topics that somebody in this process reads.
    pub(super) fn read_topics(&self) -> Vec<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().filter(|t| t.is_read()).cloned().collect()
    }

    pub(super) fn has_members(&self) -> bool {
        let groups = lock(&self.groups);
        groups.values().flatten().any(|m| m.strong_count() > 0)
    }

    pub(super) fn join(&self, member: &Arc<Member>) {
        let mut groups = lock(&self.groups);
        // Forgets groups that nobody is in.
        groups.retain(|_, members| live(members).next().is_some());
        let members = groups.entry(member.group.clone()).or_default();
        members.push(Arc::downgrade(member));
        for topic in &member.topics {
            lock(&topic.readers).push(Arc::downgrade(member));
        }
    }

    /// Lets the members of a group in this process look at who is in it.
    pub(super) fn poke(&self, group: &str, except: Option<&str>) {
        if let Some(members) = lock(&self.groups).get_mut(group) {
            for member in live(members).filter(|m| Some(&*m.id) != except) {
                member.poke.notify_one();
            }
        }
    }
}

fn live(members: &mut Vec<Weak<Member>>) -> impl Iterator<Item = Arc<Member>> {
    members.retain(|member| member.strong_count() > 0);
    members.iter().filter_map(Weak::upgrade)
}

/// What is behind these locks is whole after every statement, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
