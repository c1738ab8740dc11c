//! What a unit decides by: two units that share such a row are never decided at once.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::store::{Guard, UnitOfWork, facts::leaves_no_trace};

/// One row by a number. Two rows with one number only wait for each other.
pub(super) type Key = u64;

/// The rows of one unit, and whether it only reads them.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Vec<(Key, bool)>);

impl Keys {
    pub(super) fn of(unit: &UnitOfWork) -> Self {
        let mut keys = Self::default();
        for write in &unit.writes {
            keys.add((0, &write.stream), false);
            for claim in &write.claims {
                let value = (1, &write.stream.aggregate, &claim.field, &claim.value);
                keys.add(value, false);
            }
        }
        for (stream, _) in &unit.reads {
            keys.add((0, stream), true);
        }
        if let Some(inbox) = &unit.inbox {
            keys.add((2, &inbox.consumer, inbox.message), false);
        }
        for mark in &unit.marks {
            keys.add((3, &mark.consumer, &mark.stream), false);
        }
        for (saga, _) in &unit.sagas {
            keys.add((4, saga.id), false);
        }
        let timers = unit.timers.iter().map(|t| t.id);
        for id in unit.fired.iter().copied().chain(timers) {
            keys.add((5, id), false);
        }
        let letters = unit.dead_letters.iter().map(|d| d.id);
        for id in unit.revived.iter().copied().chain(letters) {
            keys.add((6, id), false);
        }
        if leaves_no_trace(unit) {
            keys.add((7, unit.id), false);
        }
        // A row that the unit names twice is one; what it also changes, it does not only read.
        keys.0.sort_unstable();
        keys.0.dedup_by_key(|(key, _)| *key);
        keys
    }

    fn add(&mut self, of: impl Hash, reads: bool) {
        self.0.push((key(of), reads));
    }
}

fn key(of: impl Hash) -> Key {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// One step of an aggregate: a unit that changes it, and nothing else that others of a chain could.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) row: Key,
    pub(super) from: Option<Guard>,
    pub(super) to: Guard,
}

impl Step {
    pub(super) fn of(unit: &UnitOfWork) -> Option<Self> {
        let [write] = unit.writes.as_slice() else {
            return None;
        };
        let plain = unit.reads.is_empty() && write.claims.is_empty() && write.state.is_some();
        plain.then_some(())?;
        Some(Self {
            row: key((0, &write.stream)),
            from: write.expected,
            to: write.reached()?,
        })
    }
}

/// Rows that units in flight, or units before them, decide by.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<Key, Use>);

#[derive(Debug, Clone, Copy)]
enum Use {
    /// By so many who only read.
    Read(usize),
    /// By so many of whom one changes it.
    Changed(usize),
}

impl Taken {
    /// Whether a unit must wait.
    pub(super) fn clashes(&self, keys: &Keys) -> bool {
        self.clashes_but(keys, None)
    }

    /// Whether a unit must wait because of another row than this one.
    pub(super) fn clashes_but(&self, keys: &Keys, but: Option<Key>) -> bool {
        let mut others = keys.0.iter().filter(|(key, _)| Some(*key) != but);
        others.any(|(key, reads)| {
            matches!(
                (self.0.get(key), reads),
                (Some(Use::Changed(_)), _) | (Some(Use::Read(_)), false)
            )
        })
    }

    pub(super) fn take(&mut self, keys: &Keys) {
        for (key, reads) in &keys.0 {
            let used = self.0.entry(*key).or_insert(Use::Read(0));
            *used = match (*used, reads) {
                (Use::Read(n), true) => Use::Read(n + 1),
                (Use::Read(n) | Use::Changed(n), _) => Use::Changed(n + 1),
            };
        }
    }

    pub(super) fn free(&mut self, keys: &Keys) {
        for (key, _) in &keys.0 {
            let Entry::Occupied(mut used) = self.0.entry(*key) else {
                continue;
            };
            match used.get_mut() {
                Use::Read(n) | Use::Changed(n) if *n > 1 => *n -= 1,
                _ => drop(used.remove()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::StreamId;

    fn reading(streams: &[&StreamId]) -> Keys {
        let mut unit = UnitOfWork::new(Uuid::now_v7(), chrono::DateTime::UNIX_EPOCH);
        unit.reads = streams.iter().map(|s| ((*s).clone(), None)).collect();
        Keys::of(&unit)
    }

    fn changing(stream: &StreamId) -> Keys {
        let mut keys = Keys::default();
        keys.add((0, stream), false);
        keys
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let (a, b) = (
            StreamId::new("A", Uuid::nil()),
            StreamId::new("B", Uuid::nil()),
        );
        let mut taken = Taken::default();
        taken.take(&reading(&[&a, &a, &b]));
        assert!(!taken.clashes(&reading(&[&a])));
        assert!(taken.clashes(&changing(&a)));
        taken.take(&reading(&[&a]));
        taken.free(&reading(&[&a, &b]));
        assert!(taken.clashes(&changing(&a)));
        assert!(!taken.clashes(&changing(&b)));
        taken.free(&reading(&[&a]));
        taken.take(&changing(&a));
        assert!(taken.clashes(&reading(&[&a])));
        taken.free(&changing(&a));
        assert!(taken.0.is_empty());
    }
}
