//! What a member holds and how far it is, between its user and its thread.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::Thread,
};

use tokio::sync::watch;

use super::error;
use crate::broker::{Delivery, Error, Origin, Result};

/// So many deliveries wait in memory before fetching pauses.
const MOST: usize = 2048;
/// So many bytes of them.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A topic, as services call it, and a partition.
pub(super) type Place = (String, u32);

/// One member, seen from both sides.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    seats: BTreeMap<Place, Seat>,
    waiting: VecDeque<(Delivery, usize)>,
    bytes: usize,
    /// Counts how often a partition was taken, to tell apart having it from having it again.
    tenures: u64,
    failure: Option<Failure>,
    /// Nobody wants anything any more.
    left: bool,
    thread: Option<Thread>,
}

/// A partition of this member; offsets are of the last message.
#[derive(Debug, Clone, Copy)]
struct Seat {
    tenure: u64,
    delivered: i64,
    wanted: i64,
    committed: i64,
    /// It moves to another member.
    leaves: bool,
}

/// Why it cannot go on; told again and again.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Closed,
    Away(String),
    Backend(String),
}

impl Failure {
    pub(super) fn error(&self) -> Error {
        match self {
            Failure::Closed => error::closed(),
            Failure::Away(why) => Error::Unavailable(why.clone().into()),
            Failure::Backend(why) => Error::Backend(why.clone().into()),
        }
    }
}

/// An offset that shall be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    place: Place,
    tenure: u64,
    offset: i64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

/// The user's side.
impl Shared {
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is there, at most so much.
    pub(super) fn take(&self, max: usize) -> Result<Vec<Delivery>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.check()?;
        let full = state.is_full();
        let count = state.waiting.len().min(max.max(1));
        let mut taken = Vec::with_capacity(count);
        for (delivery, size) in state.waiting.drain(..count) {
            state.bytes -= size;
            let place = (delivery.origin.topic.clone(), delivery.origin.partition);
            if let Some(seat) = state.seats.get_mut(&place) {
                seat.delivered = delivery.origin.offset;
            }
            taken.push(delivery);
        }
        if full {
            state.wake();
        }
        Ok(taken)
    }

    /// Notes what is done; answers what of it has to be committed.
    pub(super) fn wish(&self, done: &[Origin]) -> Result<Vec<Wish>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.check()?;
        let mut wishes = Vec::new();
        for origin in done {
            let place = (origin.topic.clone(), origin.partition);
            let Some(seat) = state.seats.get_mut(&place) else {
                continue;
            };
            if origin.offset > seat.delivered || origin.offset <= seat.committed {
                continue;
            }
            seat.wanted = seat.wanted.max(origin.offset);
            wishes.push(Wish {
                place,
                tenure: seat.tenure,
                offset: origin.offset,
            });
        }
        if !wishes.is_empty() {
            state.wake();
        }
        Ok(wishes)
    }

    /// Whether all of these are committed, or of partitions that went to others.
    pub(super) fn granted(&self, wishes: &[Wish]) -> Result<bool> {
        let state = self.lock();
        state.check()?;
        Ok(wishes.iter().all(|wish| {
            let seat = state.seats.get(&wish.place);
            seat.is_none_or(|s| s.tenure != wish.tenure || s.committed >= wish.offset)
        }))
    }

    /// Nobody listens any more.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.left = true;
        state.clear();
        state.wake();
    }

    /// It cannot go on, for this reason, unless there was one before.
    pub(super) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        state.clear();
        state.wake();
        drop(state);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
impl Shared {
    pub(super) fn run_by(&self, thread: Thread) {
        self.lock().thread = Some(thread);
    }

    /// Whether the thread has nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.left || state.failure.is_some()
    }

    /// Whether fetching has to pause, or to stay paused.
    pub(super) fn pauses(&self, paused: bool) -> bool {
        let state = self.lock();
        if paused {
            state.waiting.len() > MOST / 2 || state.bytes > MOST_BYTES / 2
        } else {
            state.is_full()
        }
    }

    /// Takes in what was fetched: before the next poll, in which its partition may move. Kept longer it would be
    /// handed out when the partition is back, before what comes before it, whose offset would be passed over.
    pub(super) fn put(&self, delivery: Delivery, size: usize) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.left || state.failure.is_some() {
            return;
        }
        state.bytes += size;
        state.waiting.push_back((delivery, size));
    }

    /// Says that something was taken in.
    pub(super) fn tell(&self) {
        self.changed.send_replace(());
    }

    /// A partition is this member's from now on; `next` is the first offset that comes, if the group has one.
    pub(super) fn assigned(&self, places: impl Iterator<Item = (Place, Option<i64>)>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for (place, next) in places {
            state.tenures += 1;
            let before = next.map_or(-1, |next| next - 1);
            let seat = Seat {
                tenure: state.tenures,
                delivered: before,
                wanted: before,
                committed: before,
                leaves: false,
            };
            state.seats.insert(place, seat);
        }
    }

    /// These move: nothing more of them is handed out.
    pub(super) fn leaving(&self, places: &[Place]) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for place in places {
            if let Some(seat) = state.seats.get_mut(place) {
                seat.leaves = true;
            }
        }
        let seats = &state.seats;
        let mut freed = 0;
        state.waiting.retain(|(delivery, size)| {
            let place = (delivery.origin.topic.clone(), delivery.origin.partition);
            let stays = seats.get(&place).is_some_and(|seat| !seat.leaves);
            freed += if stays { 0 } else { *size };
            stays
        });
        state.bytes -= freed;
        drop(guard);
        // What was handed out may be finished now, so its user must have heard of it.
        self.tell();
    }

    /// Whether something was handed out of a partition that moves and is not committed yet.
    pub(super) fn unfinished(&self) -> bool {
        let state = self.lock();
        let mut seats = state.seats.values();
        !state.left && seats.any(|seat| seat.leaves && seat.committed < seat.delivered)
    }

    /// These are another member's.
    pub(super) fn revoked(&self, places: &[Place]) {
        let mut state = self.lock();
        for place in places {
            state.seats.remove(place);
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// What is to be committed now.
    pub(super) fn wishes(&self) -> Vec<(Place, i64)> {
        let state = self.lock();
        let open = state
            .seats
            .iter()
            .filter(|(_, seat)| seat.wanted > seat.committed);
        open.map(|(place, seat)| (place.clone(), seat.wanted))
            .collect()
    }

    pub(super) fn committed(&self, done: Vec<(Place, i64)>) {
        let mut state = self.lock();
        for (place, offset) in done {
            if let Some(seat) = state.seats.get_mut(&place) {
                seat.committed = seat.committed.max(offset);
            }
        }
        drop(state);
        self.changed.send_replace(());
    }
}

impl State {
    fn check(&self) -> Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.error()),
            None => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= MOST || self.bytes >= MOST_BYTES
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}
