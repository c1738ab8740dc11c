//! The bookkeeping of a member, without a file.

use super::*;
use crate::{
    broker::{Undecodable, local::topic::Hub},
    clock::FixedClock,
};

struct Fixture {
    clock: Arc<FixedClock>,
    topic: Arc<Topic>,
    member: Member,
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(FixedClock::new(
            DateTime::UNIX_EPOCH + Duration::from_secs(1),
        ));
        let options = Options::default().clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let topic = Hub::default().add(7, "Foo", 2);
        let member = Member::new("group", vec![Arc::clone(&topic)], &options);
        Self {
            clock,
            topic,
            member,
        }
    }

    /// The member owns these partitions; those with an end were just taken.
    fn stands(&self, owned: &[(u32, i64, Option<i64>)], surplus: usize) -> bool {
        let owned = owned.iter().map(|(partition, committed, taken)| Owned {
            place: (7, *partition),
            committed: *committed,
            taken: *taken,
        });
        let standing = Standing {
            owned: owned.collect(),
            surplus: [(7, surplus)].into(),
            ..Standing::default()
        };
        self.member.apply(self.clock.now(), standing)
    }

    /// The partitions that are wanted, and after which offset.
    fn wanted(&self) -> Vec<(u32, i64)> {
        let wants = self.member.wants(100).unwrap();
        wants.iter().map(|w| (w.partition, w.after)).collect()
    }

    /// Reads up to `limit` of the offsets that are there, while `meanwhile` happens.
    fn read(&self, there: &[(u32, i64)], limit: usize, meanwhile: impl FnOnce()) -> Vec<i64> {
        let wants = self.member.wants(100).unwrap();
        let mut found = Vec::new();
        for want in &wants {
            let here = there
                .iter()
                .filter(|(partition, offset)| *partition == want.partition && *offset > want.after);
            found.extend(here.take(limit).map(|(partition, offset)| Delivery {
                origin: origin(*partition, *offset),
                message: Err(Undecodable {
                    text: String::new(),
                    reason: String::new(),
                    bytes: Vec::new(),
                }),
            }));
        }
        meanwhile();
        let delivered = self.member.deliver(&wants, limit, found);
        delivered.iter().map(|d| d.origin.offset).collect()
    }

    fn commit(&self, partition: u32, offset: i64) {
        for (place, offset) in self.member.commits(&[origin(partition, offset)]) {
            self.member.committed(place, offset);
        }
    }

    fn released(&self) -> Vec<Place> {
        self.member.renewal().release
    }
}

fn origin(partition: u32, offset: i64) -> Origin {
    Origin {
        topic: "Foo".to_owned(),
        partition,
        offset,
    }
}

#[test]
fn a_partition_that_was_read_to_its_end_is_not_read_again() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(0)), (1, 0, Some(0))], 0);
    assert!(it.wanted().is_empty());
    // A head is no more than a bound: there is nothing at 9, and no reason to look twice.
    it.topic.raise(0, 9);
    assert_eq!(it.wanted(), [(0, 0)]);
    assert_eq!(it.read(&[(0, 5)], 10, || ()), [5]);
    assert!(it.wanted().is_empty());
    it.topic.raise(0, 12);
    assert_eq!(it.wanted(), [(0, 5)]);
}

#[test]
fn a_full_read_is_followed_by_another() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(4))], 0);
    let there = [(0, 1), (0, 2), (0, 3), (0, 4)];
    assert_eq!(it.read(&there, 2, || ()), [1, 2]);
    assert_eq!(it.wanted(), [(0, 2)]);
    assert_eq!(it.read(&there, 2, || ()), [3, 4]);
    assert!(it.wanted().is_empty());
}

#[test]
fn a_message_that_comes_during_a_read_is_not_missed() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(1))], 0);
    let read = it.read(&[(0, 1)], 10, || assert!(it.topic.raise(0, 2)));
    assert_eq!(read, [1]);
    assert_eq!(it.wanted(), [(0, 1)]);
}

#[test]
fn what_was_lost_during_a_read_is_not_delivered() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5)), (1, 0, Some(5))], 0);
    let lose = || assert!(!it.stands(&[(1, 0, None)], 0));
    assert_eq!(it.read(&[(0, 4), (1, 5)], 10, lose), [5]);

    // Lost and taken again is not the same as kept: it starts at the committed offset.
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5))], 0);
    let lose = || assert!(!it.stands(&[(0, 3, Some(5))], 0));
    assert!(it.read(&[(0, 2), (0, 4)], 10, lose).is_empty());
    assert_eq!(it.wanted(), [(0, 3)]);
}

#[test]
fn what_should_move_during_a_read_is_not_delivered() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5))], 0);
    let move_it = || assert!(it.stands(&[(0, 0, None)], 1));
    assert!(it.read(&[(0, 4)], 10, move_it).is_empty());
    assert_eq!(it.released(), [(7, 0)]);
}

#[test]
fn a_partition_moves_once_it_is_finished() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5)), (1, 0, Some(0))], 0);
    assert_eq!(it.read(&[(0, 4), (0, 5)], 10, || ()), [4, 5]);
    // The one where nothing is open goes first.
    assert!(it.stands(&[(0, 0, None), (1, 0, None)], 1));
    assert_eq!(it.released(), [(7, 1)]);
    assert!(!it.stands(&[(0, 0, None)], 1));
    assert!(it.released().is_empty());
    it.commit(0, 4);
    assert!(it.released().is_empty());
    it.commit(0, 5);
    assert_eq!(it.released(), [(7, 0)]);
}

#[test]
fn a_partition_that_need_not_move_any_more_goes_on() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5))], 0);
    assert!(it.stands(&[(0, 0, None)], 1));
    assert!(it.wanted().is_empty());
    assert!(!it.stands(&[(0, 0, None)], 0));
    assert_eq!(it.wanted(), [(0, 0)]);
}

#[test]
fn nothing_is_wanted_after_the_lease() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5))], 0);
    it.clock.advance(it.member.lease);
    assert!(it.wanted().is_empty());
    it.stands(&[(0, 0, None)], 0);
    assert_eq!(it.wanted(), [(0, 0)]);
}

#[test]
fn only_what_was_delivered_in_this_tenure_is_committed() {
    let it = Fixture::new();
    it.stands(&[(0, 0, Some(5))], 0);
    assert_eq!(it.read(&[(0, 4), (0, 5)], 1, || ()), [4]);
    let commits = |offsets: &[i64]| {
        let origins: Vec<_> = offsets.iter().map(|offset| origin(0, *offset)).collect();
        it.member
            .commits(&origins)
            .into_values()
            .collect::<Vec<_>>()
    };
    assert!(commits(&[5]).is_empty());
    assert_eq!(commits(&[4, 2, 5]), [4]);
    assert!(it.member.commits(&[origin(1, 4)]).is_empty());
    it.stands(&[(0, 1, Some(5))], 0);
    assert!(commits(&[4]).is_empty());
}
