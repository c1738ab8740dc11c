//! Dead letters, and what is forgotten.

use std::collections::BTreeMap;

use super::{Fixture, toy::*};
use crate::{
    message::{Kind, Origin},
    store::{
        DeadLetter, Error, InboxMark, LetterFilter, Old, Reason, SagaRow, Store, Trial, UnitOfWork,
    },
};

async fn park(store: &dyn Store, letters: &[DeadLetter]) {
    let unit = UnitOfWork {
        dead_letters: letters.to_vec(),
        ..unit()
    };
    store.commit(unit).await.unwrap();
}

async fn listed(store: &dyn Store, filter: &LetterFilter) -> Vec<DeadLetter> {
    let rows = store.dead_letters(filter).await.unwrap();
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "places rise");
    rows.into_iter().map(|(_, letter)| letter).collect()
}

fn take(letter: &DeadLetter) -> UnitOfWork {
    UnitOfWork {
        revived: vec![letter.id],
        ..unit()
    }
}

async fn is_parked(store: &dyn Store, consumer: &str, key: &str) -> bool {
    let first = store.first_parked(consumer, key).await.unwrap();
    first.is_some()
}

/// A parked message stays, in order, until it is taken back once; parked again it keeps its place.
pub async fn dead_letters_are_parked_and_taken_back(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let letters = [
        letter("toys", "a"),
        letter("toys", "a"),
        letter("dolls", "a"),
        letter("toys", "b"),
    ];
    park(&*store, &letters[..2]).await;
    park(&*store, &letters[2..]).await;
    assert_eq!(listed(&*store, &LetterFilter::all(10)).await, letters);
    assert_eq!(listed(&*store, &LetterFilter::all(1)).await, letters[..1]);
    let dolls = listed(&*store, &LetterFilter::of("dolls", 10)).await;
    assert_eq!(dolls, letters[2..3]);
    assert!(is_parked(&*store, "toys", "a").await);
    assert!(!is_parked(&*store, "dolls", "b").await);

    // A replay that fails again.
    let again = DeadLetter {
        attempts: 6,
        reason: Reason::Behind,
        ..letters[0].clone()
    };
    let mut unit = take(&again);
    unit.dead_letters = vec![again.clone()];
    store.commit(unit).await.unwrap();
    let parked = listed(&*store, &LetterFilter::of("toys", 10)).await;
    assert_eq!(parked[0], again);
    assert_eq!(parked[1], letters[1]);

    store.commit(take(&letters[0])).await.unwrap();
    let result = store.commit(take(&letters[0])).await;
    assert!(
        matches!(
            result,
            Err(Error::Moved {
                what: "dead letter",
                ..
            })
        ),
        "{result:?}"
    );
    assert!(is_parked(&*store, "toys", "a").await);
    store.commit(take(&letters[1])).await.unwrap();
    assert!(!is_parked(&*store, "toys", "a").await);
    assert_eq!(listed(&*store, &LetterFilter::all(10)).await, letters[2..]);
}

/// Error, history, origin, and bytes come back as they were given; nothing else does.
pub async fn dead_letters_keep_all_that_is_known_of_them(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let full = letter("toys", "a");
    assert!(full.origin.is_some() && full.bytes.is_some() && !full.history.is_empty());
    let bare = DeadLetter {
        origin: None,
        history: Vec::new(),
        bytes: None,
        ..letter("toys", "b")
    };
    let mut letters = vec![full, bare];
    letters.extend(Reason::ALL.map(|reason| DeadLetter {
        reason,
        ..letter("toys", "c")
    }));
    park(&*store, &letters).await;
    for letter in &letters {
        let found = store.dead_letter(letter.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(letter));
    }
    assert_eq!(store.dead_letter(id()).await.unwrap(), None);
    assert_eq!(listed(&*store, &LetterFilter::all(100)).await, letters);
}

/// A filter means what [`LetterFilter::fits`] says, in lists and in counts; pages follow each other.
pub async fn dead_letters_are_listed_by_filter_and_page(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let mut letters = Vec::new();
    for n in 0..24_u32 {
        let mut letter = letter(
            if n % 2 == 0 { "toys" } else { "dolls" },
            &format!("k{}", n % 3),
        );
        letter.message.kind = if n % 4 < 2 {
            Kind::Command
        } else {
            Kind::Event
        };
        letter.message.name = format!("Name{}", n % 5);
        letter.message.topic = format!("Topic{}", n % 2);
        letter.reason = Reason::ALL[n as usize % 3];
        letter.at = at(i64::from(n));
        letters.push(letter);
    }
    park(&*store, &letters).await;
    let filters = [
        LetterFilter::default(),
        LetterFilter::of("toys", 0),
        LetterFilter {
            key: Some("k1".to_owned()),
            ..LetterFilter::default()
        },
        LetterFilter {
            kind: Some(Kind::Event),
            topic: Some("Topic1".to_owned()),
            ..LetterFilter::default()
        },
        LetterFilter {
            name: Some("Name3".to_owned()),
            reason: Some(Reason::Behind),
            ..LetterFilter::default()
        },
        LetterFilter {
            since: Some(at(5)),
            until: Some(at(9)),
            ..LetterFilter::default()
        },
        LetterFilter::of("nobody", 0),
    ];
    for filter in filters {
        let wanted: Vec<_> = letters.iter().filter(|l| filter.fits(l)).cloned().collect();
        let all = LetterFilter {
            limit: 100,
            ..filter.clone()
        };
        assert_eq!(listed(&*store, &all).await, wanted, "{filter:?}");
        let mut counts = BTreeMap::new();
        for letter in &wanted {
            *counts.entry(letter.consumer.clone()).or_default() += 1;
        }
        let counted = store.count_dead_letters(&filter).await.unwrap();
        assert_eq!(counted, counts, "{filter:?}");

        let mut paged = Vec::new();
        let mut page = LetterFilter { limit: 4, ..filter };
        loop {
            let rows = store.dead_letters(&page).await.unwrap();
            let Some((last, _)) = rows.last() else { break };
            page.after = *last;
            // What leaves or comes between two pages moves nothing.
            store.commit(take(&rows[0].1)).await.unwrap();
            if paged.len() < wanted.len() {
                park(&*store, &[letter("others", "z")]).await;
            }
            paged.extend(rows.into_iter().map(|(_, letter)| letter));
            paged.retain(|l| l.consumer != "others");
        }
        assert_eq!(paged, wanted);
        for (_, letter) in store.dead_letters(&LetterFilter::all(1000)).await.unwrap() {
            store.commit(take(&letter)).await.unwrap();
        }
        park(&*store, &letters).await;
    }
}

/// Events of a parked key are taken back in the order of their versions, whenever they came.
pub async fn the_first_of_a_parked_key_has_the_lowest_version(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let versioned = |version: Option<u64>| {
        let mut letter = letter("toys", "Toy/1");
        letter.message.headers.version = version;
        letter
    };
    let letters = [Some(3), Some(4), Some(2), Some(10), None, Some(2)].map(versioned);
    park(&*store, &letters).await;
    park(
        &*store,
        &[letter("dolls", "Toy/1"), letter("toys", "Toy/2")],
    )
    .await;
    for n in [4, 2, 5, 0, 1, 3] {
        let first = store.first_parked("toys", "Toy/1").await.unwrap();
        assert_eq!(first.as_ref(), Some(&letters[n]));
        store.commit(take(&letters[n])).await.unwrap();
    }
    assert!(!is_parked(&*store, "toys", "Toy/1").await);
    assert!(is_parked(&*store, "dolls", "Toy/1").await);
}

/// What one consumer handled before a time is forgotten, in bites; a forgotten message is as if it was never there.
pub async fn the_inbox_forgets_what_is_old_for_one_consumer(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let mut messages = Vec::new();
    for n in 0..10 {
        for consumer in ["toys", "dolls"] {
            let message = id();
            let mut unit = UnitOfWork::new(id(), at(n));
            unit.inbox = Some(InboxMark {
                consumer: consumer.to_owned(),
                message,
                outcome: None,
            });
            store.commit(unit).await.unwrap();
            messages.push((consumer, n, message));
        }
    }
    let old = Old::Inbox {
        consumer: "toys".to_owned(),
    };
    let mut bites = Vec::new();
    for _ in 0..3 {
        bites.push(store.purge(&old, at(6), 4).await.unwrap());
    }
    assert_eq!(bites, [4, 2, 0]);
    for (consumer, n, message) in &messages {
        let kept = store.inbox(consumer, *message).await.unwrap().is_some();
        assert_eq!(kept, *consumer == "dolls" || *n >= 6, "{consumer} {n}");
    }
    for (prefix, gone) in [("x", 0), ("dollss", 0), ("doll", 3), ("", 3)] {
        let old = Old::Inboxes {
            prefix: prefix.to_owned(),
        };
        let before = if prefix == "doll" { at(3) } else { at(6) };
        assert_eq!(
            store.purge(&old, before, 100).await.unwrap(),
            gone,
            "{prefix}"
        );
    }
    let mut again = unit();
    again.inbox = Some(InboxMark {
        consumer: "toys".to_owned(),
        message: messages[0].2,
        outcome: None,
    });
    store.commit(again).await.unwrap();
}

/// Sagas that ended before a time are forgotten with their history; those that are due are not.
pub async fn sagas_that_ended_long_ago_are_forgotten(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let saga = |status: &str, due: Option<i64>, updated: i64| SagaRow {
        id: id(),
        name: "S".to_owned(),
        version: 1,
        status: status.to_owned(),
        due_at: due.map(at),
        created_at: at(0),
        updated_at: at(updated),
        body: json("{}"),
    };
    let sagas = [
        saga("completed", None, 1),
        saga("completed", None, 2),
        saga("completed", None, 9),
        saga("completed", Some(1), 1),
        saga("stuck", None, 1),
    ];
    let mut set = unit();
    set.sagas = sagas.iter().map(|s| (s.clone(), vec![json("1")])).collect();
    store.commit(set).await.unwrap();
    let old = Old::Sagas {
        status: "completed".to_owned(),
    };
    assert_eq!(store.purge(&old, at(9), 100).await.unwrap(), 2);
    for (n, saga) in sagas.iter().enumerate() {
        let found = store.saga(saga.id).await.unwrap();
        assert_eq!(found.is_some(), n >= 2, "{n}");
        let history = store.saga_history(saga.id, 10).await.unwrap();
        assert_eq!(history.len(), usize::from(n >= 2), "{n}");
    }
}

/// A letter with everything that a letter can have.
pub(super) fn letter(consumer: &str, key: &str) -> DeadLetter {
    DeadLetter {
        id: id(),
        consumer: consumer.to_owned(),
        key: key.to_owned(),
        message: message(key, "{\"text\":\"ü\"}"),
        reason: Reason::Failed,
        error: "it \"broke\"".to_owned(),
        attempts: 2,
        at: at(3),
        origin: Some(Origin {
            topic: "Toy".to_owned(),
            partition: 3,
            offset: i64::MAX,
        }),
        history: vec![
            Trial {
                at: at(1),
                error: "ä\u{0}\n".to_owned(),
            },
            Trial {
                at: at(2),
                error: String::new(),
            },
        ],
        bytes: Some(vec![0, 255, 10]),
    }
}
