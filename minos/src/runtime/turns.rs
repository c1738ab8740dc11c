//! Whose turn it is: instances that all see a saga due do not all run its step.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::SagaRow;

/// How long the process that moved a saga last is left alone with what is due of it.
pub(super) const FIRST_GO: Duration = Duration::from_millis(250);

/// How long what this build does not know is not looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long what this build does not know is left to others before the saga is stuck.
const ORPHANED: Duration = Duration::from_secs(600);

/// What counts of a stored run: all of it would be read again by whoever moves it.
#[derive(Deserialize)]
struct Owned {
    #[serde(default)]
    owner: Option<Uuid>,
}

/// Leaves what is due to whoever moved it last, for a moment. This spares work and decides nothing: two that run one
/// step both commit against one version, and one of them has done nothing.
///
/// Time is measured by this process from when it saw a saga due, so no clocks are compared and a dead owner's sagas are
/// taken over that much later.
#[derive(Debug)]
pub(super) struct Turns {
    process: Uuid,
    /// What was left to others: the version, and since when.
    left: HashMap<Uuid, (u64, Instant)>,
    /// What this build does not know.
    unknown: HashMap<Uuid, Unknown>,
}

/// A saga that this build does not know, as it stands.
#[derive(Debug, Clone, Copy)]
struct Unknown {
    version: u64,
    /// When this process looked at it first, whatever it was due before: nobody else may have been able to, either.
    first: Instant,
    /// When it was looked at last.
    last: Instant,
}

impl Turns {
    pub(super) fn new(process: Uuid) -> Self {
        Self {
            process,
            left: HashMap::new(),
            unknown: HashMap::new(),
        }
    }

    /// Those of the due sagas that are this process's to move, now.
    pub(super) fn mine(&mut self, due: Vec<SagaRow>, now: Instant) -> Vec<SagaRow> {
        let (mut left, mut unknown) = (HashMap::new(), HashMap::new());
        let mine = due.into_iter().filter(|row| {
            if let Some(left) = self.unknown((row.id, row.version)) {
                unknown.insert(row.id, *left);
                return now.duration_since(left.last) >= AGAIN;
            }
            let owned = row.body.decode::<Owned>();
            let owner = owned.ok().and_then(|run| run.owner);
            if owner.is_none_or(|owner| owner == self.process) {
                return true;
            }
            let seen = self
                .left
                .get(&row.id)
                .filter(|(version, _)| *version == row.version);
            let since = seen.map_or(now, |(_, since)| *since);
            left.insert(row.id, (row.version, since));
            now.duration_since(since) >= FIRST_GO
        });
        let mine = mine.collect();
        (self.left, self.unknown) = (left, unknown);
        mine
    }

    /// Leaves a saga, as it stands, to a build that knows it.
    pub(super) fn leave(&mut self, (saga, version): (Uuid, u64), now: Instant) {
        let first = self.unknown((saga, version)).map_or(now, |u| u.first);
        let last = now;
        self.unknown.insert(
            saga,
            Unknown {
                version,
                first,
                last,
            },
        );
    }

    /// Whether nobody came for a saga that was left to others, in all the time that they had.
    pub(super) fn is_orphaned(&self, this: (Uuid, u64), now: Instant) -> bool {
        let left = self.unknown(this);
        left.is_some_and(|u| now.duration_since(u.first) >= ORPHANED)
    }

    fn unknown(&self, (saga, version): (Uuid, u64)) -> Option<&Unknown> {
        self.unknown.get(&saga).filter(|u| u.version == version)
    }

    /// Nothing is due any more.
    pub(super) fn clear(&mut self) {
        self.left.clear();
        self.unknown.clear();
    }

    /// How soon what was left to others is looked at again, if anything was.
    pub(super) fn waits(&self) -> Option<Duration> {
        match (self.left.is_empty(), self.unknown.is_empty()) {
            (false, _) => Some(FIRST_GO / 4),
            // It may be there for long, and is not this process's to hurry.
            (true, false) => Some(FIRST_GO),
            (true, true) => None,
        }
    }

    /// How much was left to others.
    pub(super) fn left(&self) -> u32 {
        u32::try_from(self.left.len() + self.unknown.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{payload::Payload, saga::run::Run};

    fn row(version: u64, owner: Option<Uuid>) -> SagaRow {
        let mut run = Run::new(Payload::null(), String::new());
        run.owner = owner;
        SagaRow {
            id: Uuid::from_u128(7),
            name: "Test".to_owned(),
            version,
            status: "running".to_owned(),
            due_at: Some(DateTime::UNIX_EPOCH),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            body: run.body().unwrap(),
        }
    }

    #[test]
    fn what_another_process_moved_last_is_left_to_it_for_a_moment() {
        let (me, other) = (Uuid::from_u128(1), Some(Uuid::from_u128(2)));
        let (mut turns, now) = (Turns::new(me), Instant::now());
        let mut takes = |row, now| (turns.mine(vec![row], now).len(), turns.waits().is_some());
        assert_eq!(takes(row(1, Some(me)), now), (1, false));
        assert_eq!(takes(row(1, None), now), (1, false));
        assert_eq!(takes(row(1, other), now), (0, true));
        assert_eq!(takes(row(1, other), now + FIRST_GO / 2), (0, true));
        // It moved meanwhile: its owner lives.
        assert_eq!(takes(row(2, other), now + FIRST_GO), (0, true));
        assert_eq!(takes(row(2, other), now + FIRST_GO * 2), (1, true));
    }

    #[test]
    fn what_this_build_does_not_know_is_left_alone_until_it_moves_or_for_a_while() {
        let (mut turns, now) = (Turns::new(Uuid::from_u128(1)), Instant::now());
        turns.leave((row(1, None).id, 1), now);
        let mut takes = |row, now| (turns.mine(vec![row], now).len(), turns.left());
        assert_eq!(takes(row(1, None), now), (0, 1));
        assert_eq!(takes(row(1, None), now + AGAIN / 2), (0, 1));
        assert_eq!(takes(row(1, None), now + AGAIN), (1, 1));
        turns.leave((row(1, None).id, 1), now);
        assert_eq!(turns.mine(vec![row(2, None)], now).len(), 1);
    }

    #[test]
    fn others_have_their_time_from_when_this_process_looked_first() {
        let (mut turns, start) = (Turns::new(Uuid::from_u128(1)), Instant::now());
        let this = |version| (row(version, None).id, version);
        let mut now = start;
        while now - start < ORPHANED {
            assert!(!turns.is_orphaned(this(1), now));
            assert_eq!(turns.mine(vec![row(1, None)], now).len(), 1);
            turns.leave(this(1), now);
            now += AGAIN;
        }
        assert!(turns.is_orphaned(this(1), now));
        // Somebody moved it.
        assert!(!turns.is_orphaned(this(2), now));
        turns.mine(vec![row(2, None)], now);
        turns.leave(this(2), now);
        assert!(!turns.is_orphaned(this(2), now));
    }
}
