//! What was seen of one run, whichever process did it: messages on their way, and which views there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use crate::{
    broker::Delivery,
    message::{Message, Origin},
    store::UnitOfWork,
};

/// Outlives the processes of a run.
#[derive(Debug, Default)]
pub(super) struct Witness {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Who reads which topics.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// How often a message is in its topic, at least: a publication that was cut off may be there as well.
    published: HashMap<String, HashMap<Uuid, usize>>,
    /// How far a group has come in a partition.
    places: BTreeMap<(String, String, u32), Place>,
    /// What was committed to be published, and to which topic. A store may hide it for a while: on PostgreSQL, as long
    /// as an older transaction runs in any database of the server.
    committed: HashMap<Uuid, String>,
    views: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Place {
    delivered: BTreeMap<i64, Option<Uuid>>,
    done: Option<i64>,
}

impl Witness {
    pub(super) fn joined(&self, group: &str, topics: &[String]) {
        let mut seen = self.seen();
        let all = seen.groups.entry(group.to_owned()).or_default();
        all.extend(topics.iter().cloned());
    }

    pub(super) fn published(&self, messages: &[Message]) {
        let mut seen = self.seen();
        for message in messages {
            let topic = seen.published.entry(message.topic.clone()).or_default();
            *topic.entry(message.id).or_default() += 1;
        }
    }

    pub(super) fn delivered(&self, group: &str, deliveries: &[Delivery]) {
        let mut seen = self.seen();
        for Delivery { origin, message } in deliveries {
            let place = seen.places.entry(place(group, origin)).or_default();
            // What comes again was not committed, although it was about to be.
            if place.done.is_some_and(|done| done >= origin.offset) {
                place.done = Some(origin.offset - 1);
            }
            let id = message.as_ref().ok().map(|m| m.id);
            place.delivered.insert(origin.offset, id);
        }
    }

    /// These, and what is before them, will not come again. It is said before it is committed: whether a commit that
    /// is cut off took place is known by what comes again.
    pub(super) fn done(&self, group: &str, done: &[Origin]) {
        let mut seen = self.seen();
        for origin in done {
            let place = seen.places.entry(place(group, origin)).or_default();
            place.done = place.done.max(Some(origin.offset));
        }
    }

    pub(super) fn committed(&self, unit: &UnitOfWork) {
        let messages = unit.outbox.iter().map(|m| (m.id, m.topic.clone()));
        let events = unit.writes.iter().flat_map(|write| {
            let topic = &write.stream.aggregate;
            write.events.iter().map(move |e| (e.id, topic.clone()))
        });
        self.seen().committed.extend(messages.chain(events));
    }

    /// Notes which views a unit writes.
    pub(super) fn views(&self, unit: &UnitOfWork) {
        let views = unit.views.iter().map(|write| write.view.clone());
        self.seen().views.extend(views);
    }

    /// The names of the views.
    pub(super) fn view_names(&self) -> Vec<String> {
        self.seen().views.iter().cloned().collect()
    }

    /// Who has not done all that was published for it.
    pub(super) fn unfinished(&self) -> Option<String> {
        let seen = self.seen();
        let left = |id, topic| {
            seen.published
                .get(topic)
                .is_some_and(|t| t.contains_key(id))
        };
        if let Some((_, topic)) = seen.committed.iter().find(|(id, t)| !left(id, *t)) {
            return Some(format!("a message of `{topic}` has to be published"));
        }
        let behind = |(group, topics): (&String, &BTreeSet<String>)| {
            let mut handled: HashMap<Uuid, usize> = HashMap::new();
            for ((_, topic, _), place) in seen.places.iter().filter(|((g, ..), _)| g == group) {
                let mut delivered = place.delivered.iter();
                if delivered.any(|(offset, _)| Some(*offset) > place.done) {
                    return Some(format!("`{group}` handles a message of `{topic}`"));
                }
                for id in place.delivered.values().flatten() {
                    *handled.entry(*id).or_default() += 1;
                }
            }
            let missing = |topic: &&String| {
                let mut published = seen.published.get(*topic).into_iter().flatten();
                published.any(|(id, copies)| handled.get(id).is_none_or(|n| n < copies))
            };
            let topic = topics.iter().find(missing)?;
            Some(format!("`{group}` has not got all of `{topic}`"))
        };
        seen.groups.iter().find_map(behind)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(group: &str, origin: &Origin) -> (String, String, u32) {
    (group.to_owned(), origin.topic.clone(), origin.partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Headers, Kind},
        payload::Payload,
    };

    fn message(id: u128) -> Message {
        Message {
            id: Uuid::from_u128(id),
            kind: Kind::Event,
            topic: "Foo".to_owned(),
            name: "FooCreated".to_owned(),
            key: String::new(),
            at: chrono::DateTime::UNIX_EPOCH,
            headers: Headers::default(),
            payload: Payload::null(),
        }
    }

    fn at(offset: i64) -> Origin {
        Origin {
            topic: "Foo".to_owned(),
            partition: 0,
            offset,
        }
    }

    fn delivery(offset: i64, id: u128) -> Delivery {
        Delivery {
            origin: at(offset),
            message: Ok(message(id)),
        }
    }

    fn joined() -> Witness {
        let witness = Witness::default();
        witness.joined("foo", &["Foo".to_owned()]);
        witness
    }

    #[test]
    fn what_was_published_is_unfinished_until_its_offset_is_committed() {
        let witness = joined();
        assert_eq!(witness.unfinished(), None);
        witness.published(&[message(1)]);
        let lost = Some("`foo` has not got all of `Foo`".to_owned());
        assert_eq!(witness.unfinished(), lost);
        witness.delivered("foo", &[delivery(3, 1)]);
        let busy = Some("`foo` handles a message of `Foo`".to_owned());
        assert_eq!(witness.unfinished(), busy);
        witness.done("foo", &[at(3)]);
        assert_eq!(witness.unfinished(), None);
    }

    #[test]
    fn what_was_published_twice_comes_twice() {
        let witness = joined();
        witness.published(&[message(1)]);
        witness.published(&[message(1)]);
        witness.delivered("foo", &[delivery(0, 1)]);
        witness.done("foo", &[at(0)]);
        assert!(witness.unfinished().is_some());
        witness.delivered("foo", &[delivery(1, 1)]);
        witness.done("foo", &[at(1)]);
        assert_eq!(witness.unfinished(), None);
    }

    #[test]
    fn what_comes_again_is_unfinished_again() {
        let witness = joined();
        witness.published(&[message(1)]);
        witness.delivered("foo", &[delivery(0, 1)]);
        witness.done("foo", &[at(0)]);
        witness.delivered("foo", &[delivery(0, 1)]);
        assert!(witness.unfinished().is_some());
        witness.done("foo", &[at(0)]);
        assert_eq!(witness.unfinished(), None);
    }
}
