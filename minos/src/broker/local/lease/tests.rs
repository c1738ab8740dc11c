//! Sharing partitions, without a file.

use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::broker::local::topic::Hub;

fn all_topics() -> Vec<Arc<Topic>> {
    let hub = Hub::default();
    let topics = [("One", 1), ("Foo", 8), ("Bar", 5), ("Other", 1)];
    topics
        .iter()
        .enumerate()
        .map(|(i, (name, partitions))| hub.add(i as i64, name, *partitions))
        .collect()
}

/// What is in the file, as far as sharing goes.
struct World {
    topics: Vec<Arc<Topic>>,
    members: BTreeMap<String, Vec<i64>>,
    owners: BTreeMap<Place, Option<String>>,
}

impl World {
    /// Lets a member look once; answers whether it changed anything.
    fn look(&mut self, id: &str) -> bool {
        let reads = &self.members[id];
        let mine = self
            .owners
            .iter()
            .filter(|(_, owner)| owner.as_deref() == Some(id));
        let renewal = Renewal {
            id: id.to_owned(),
            group: "group".to_owned(),
            topics: self
                .topics
                .iter()
                .filter(|t| reads.contains(&t.id))
                .cloned()
                .collect(),
            release: mine.map(|(place, _)| *place).collect(),
            now: DateTime::UNIX_EPOCH,
            lease: 1,
        };
        let living = |id: &String| self.members.contains_key(id);
        let cursors: Vec<_> = self
            .owners
            .iter()
            .filter(|((topic, _), _)| reads.contains(topic))
            .map(|(place, owner)| Cursor {
                place: *place,
                owner: owner.clone().filter(living),
                committed: 0,
            })
            .collect();
        let plan = plan(&renewal, &self.members, &cursors);
        assert!(plan.release.is_empty() || plan.surplus.is_empty());
        for place in &plan.release {
            self.owners.insert(*place, None);
        }
        for place in &plan.take {
            let before = self.owners.insert(*place, Some(id.to_owned()));
            assert!(
                !before.flatten().is_some_and(|id| living(&id)),
                "taken away"
            );
        }
        !plan.release.is_empty() || !plan.take.is_empty()
    }

    /// Lets all look until nothing moves.
    fn settle(&mut self) {
        for _ in 0..20 {
            let ids: Vec<_> = self.members.keys().cloned().collect();
            let changes = ids.iter().filter(|id| self.look(id)).count();
            if changes == 0 {
                return;
            }
        }
        panic!("they never settle");
    }
}

fn member() -> impl Strategy<Value = (usize, Vec<i64>)> {
    (0..5_usize, subsequence(vec![0, 1, 2, 3], 1..=4))
}

proptest! {
    /// Whoever joins or leaves with whichever topics: everything that somebody reads is owned in the end, fairly.
    #[test]
    fn all_partitions_are_shared_fairly(steps in prop::collection::vec((any::<bool>(), member()), 1..12)) {
        let topics = all_topics();
        let places = topics.iter().flat_map(|t| (0..t.partitions).map(|p| (t.id, p)));
        let mut world = World {
            owners: places.map(|place| (place, None)).collect(),
            members: BTreeMap::new(),
            topics,
        };
        for (step, (joins, (who, reads))) in steps.into_iter().enumerate() {
            if joins {
                // A name is used once; what it reads never changes.
                world.members.insert(format!("{who}-{step}"), reads);
            } else if let Some(id) = world.members.keys().nth(who).cloned() {
                // What it owned stays behind with its name, as after a crash.
                world.members.remove(&id);
            }
            world.settle();
            for topic in &world.topics {
                let readers = world.members.iter().filter(|(_, reads)| reads.contains(&topic.id));
                let shares: Vec<_> = readers
                    .map(|(id, _)| {
                        let owned = world.owners.iter().filter(|((t, _), owner)| {
                            *t == topic.id && owner.as_ref() == Some(id)
                        });
                        owned.count()
                    })
                    .collect();
                if shares.is_empty() {
                    continue;
                }
                prop_assert_eq!(shares.iter().sum::<usize>(), topic.partitions as usize);
                prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            }
        }
    }
}

#[test]
fn what_is_in_work_is_surplus_until_it_is_finished() {
    let topics = all_topics();
    let foo = Arc::clone(&topics[1]);
    let members = BTreeMap::from(["a", "b"].map(|id| (id.to_owned(), vec![foo.id])));
    let cursors: Vec<_> = (0..8)
        .map(|partition| Cursor {
            place: (foo.id, partition),
            owner: Some("a".to_owned()),
            committed: 0,
        })
        .collect();
    let mut renewal = Renewal {
        id: "a".to_owned(),
        group: "group".to_owned(),
        topics: vec![Arc::clone(&foo)],
        release: vec![(foo.id, 6)],
        now: DateTime::UNIX_EPOCH,
        lease: 1,
    };
    let first = plan(&renewal, &members, &cursors);
    assert_eq!(
        (&first.release[..], &first.take[..]),
        (&[(foo.id, 6)][..], &[][..])
    );
    assert_eq!(first.surplus, [(foo.id, 3)].into());
    // The other one takes nothing that is owned.
    renewal.id = "b".to_owned();
    renewal.release.clear();
    assert_eq!(plan(&renewal, &members, &cursors), Plan::default());
}
