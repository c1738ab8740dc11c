//! Order, durability, topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::broker::Error;

/// Messages of one key come in the order in which they were published, across publications.
pub async fn messages_of_one_key_come_in_order(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    for n in 0..30 {
        let batch: Vec<_> = ["a", "b", "c"]
            .iter()
            .flat_map(|key| range(&topic, key, n * 3..n * 3 + 3))
            .collect();
        publish(&*broker, &batch).await;
    }
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let mut of_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for delivery in take(&mut *member, 270).await {
        let key = message(&delivery).key.clone();
        of_key.entry(key).or_default().push(number(&delivery));
    }
    let all: Vec<u64> = (0..90).collect();
    assert_eq!(of_key.len(), 3);
    for (key, got) in of_key {
        assert_eq!(got, all, "key {key}");
    }
}

/// All messages of one key stand in one partition, and keys use more than one.
pub async fn one_key_stays_in_one_partition(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    for round in 0..3 {
        let batch: Vec<_> = (0..50)
            .map(|key| numbered(&topic, &format!("key{key}"), round))
            .collect();
        publish(&*broker, &batch).await;
    }
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let mut places: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut offsets = BTreeSet::new();
    for delivery in take(&mut *member, 150).await {
        assert!(offsets.insert(delivery.origin.clone()), "an offset twice");
        let of_key = places.entry(message(&delivery).key.clone()).or_default();
        of_key.insert(delivery.origin.partition);
    }
    assert_eq!(places.len(), 50);
    assert!(places.values().all(|p| p.len() == 1), "{places:?}");
    let used: BTreeSet<_> = places.values().flatten().collect();
    assert!(used.len() > 1, "all keys in one partition");
}

/// One publication keeps its order within each partition, whatever its keys are.
pub async fn a_batch_keeps_its_order(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let batch: Vec<_> = (0..500)
        .map(|n| numbered(&topic, &format!("key{}", n % 17), n))
        .collect();
    publish(&*broker, &batch).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let mut last: BTreeMap<u32, (i64, u64)> = BTreeMap::new();
    for delivery in take(&mut *member, 500).await {
        let here = (delivery.origin.offset, number(&delivery));
        if let Some(before) = last.insert(delivery.origin.partition, here) {
            assert!(before.0 < here.0, "offsets rise");
            assert!(before.1 < here.1, "{} before {}", before.1, here.1);
        }
    }
}

/// `next(max)` answers between one and `max` messages.
pub async fn next_answers_at_most_what_was_asked_for(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let batch: Vec<_> = (0..40)
        .map(|n| numbered(&topic, &format!("key{n}"), n))
        .collect();
    publish(&*broker, &batch).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let mut seen = BTreeSet::new();
    for max in [1, 3, 7].into_iter().cycle() {
        let next = within("the next messages", member.next(max)).await.unwrap();
        assert!((1..=max).contains(&next.len()), "{} of {max}", next.len());
        seen.extend(numbers(&next));
        if seen.len() == 40 {
            break;
        }
    }
}

/// `next` goes on after what it delivered, committed or not.
pub async fn next_continues_after_what_it_delivered(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let mut got = Vec::new();
    for n in 0..5 {
        publish(&*broker, &range(&topic, "a", n * 4..n * 4 + 4)).await;
        got.extend(numbers(&take(&mut *member, 4).await));
    }
    assert_eq!(got, (0..20).collect::<Vec<_>>());
}

/// A member that waits gets what is published later.
pub async fn a_waiting_next_is_woken(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    for n in 0..20 {
        let waiting = async { take(&mut *member, 1).await };
        let later = async {
            // The other side reaches its waiting point first, most of the time.
            tokio::task::yield_now().await;
            publish(&*broker, &[numbered(&topic, &format!("key{n}"), n)]).await;
        };
        let (got, ()) = tokio::join!(waiting, later);
        assert_eq!(numbers(&got), [n]);
    }
}

/// A `next` that is dropped at any point loses nothing and repeats nothing.
pub async fn a_dropped_next_loses_nothing(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let feed = {
        let (broker, topic) = (Arc::clone(&broker), topic.clone());
        tokio::spawn(async move {
            for n in 0..50 {
                publish(&*broker, &range(&topic, "a", n * 4..n * 4 + 4)).await;
            }
        })
    };
    let mut got = Vec::new();
    let reading = async {
        for patience in (0..1500).step_by(50).cycle() {
            let patience = Duration::from_micros(patience);
            if let Ok(next) = tokio::time::timeout(patience, member.next(3)).await {
                got.extend(numbers(&next.expect("a member can read")));
            }
            if got.len() >= 200 {
                break;
            }
        }
    };
    within("200 messages", reading).await;
    feed.await.expect("the publisher finishes");
    assert_eq!(got, (0..200).collect::<Vec<_>>());
}

/// Many publishers at once: everything is there, and each publisher's own order is kept.
pub async fn concurrent_publishers_lose_nothing(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..8 {
        let (broker, topic) = (Arc::clone(&broker), topic.clone());
        publishers.spawn(async move {
            for n in 0..25 {
                let batch = range(&topic, &format!("of{publisher}"), n * 4..n * 4 + 4);
                publish(&*broker, &batch).await;
            }
        });
    }
    while let Some(done) = publishers.join_next().await {
        done.expect("a publisher finishes");
    }
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let mut of_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for delivery in take(&mut *member, 800).await {
        let key = message(&delivery).key.clone();
        of_key.entry(key).or_default().push(number(&delivery));
    }
    assert_eq!(of_key.len(), 8);
    for (key, got) in of_key {
        assert_eq!(got, (0..100).collect::<Vec<_>>(), "publisher {key}");
    }
}

/// One publication may go to several topics, and one member may read several.
pub async fn one_publication_may_have_several_topics(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topics = [new_topic(&*broker).await, new_topic(&*broker).await];
    let batch: Vec<_> = (0..20)
        .map(|n| numbered(&topics[n as usize % 2], "a", n))
        .collect();
    publish(&*broker, &batch).await;
    let group = unique("group");
    let joined = broker.subscribe(&group, &topics).await;
    let mut both = joined.expect("a group can be joined");
    let got = take(&mut *both, 20).await;
    for (i, topic) in topics.iter().enumerate() {
        let of_topic: Vec<_> = got.iter().filter(|d| d.origin.topic == *topic).collect();
        assert!(of_topic.iter().all(|d| message(d).topic == *topic));
        let got: Vec<_> = of_topic.into_iter().map(number).collect();
        let sent: Vec<_> = (0..20).filter(|n| *n as usize % 2 == i).collect();
        assert_eq!(got, sent);
    }
    let mut one = join(&*broker, &unique("group"), &topics[1]).await;
    assert_eq!(numbers(&take(&mut *one, 10).await)[0], 1);
}

/// Nothing to publish is done at once.
pub async fn an_empty_publication_is_done(fixture: impl Fixture) {
    let broker = fixture.broker();
    publish(&*broker, &[]).await;
    within("health", broker.health()).await.expect("it is well");
}

/// Publishing to, or subscribing to, a topic that was not created is an error that names it.
pub async fn a_missing_topic_is_an_error(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (there, missing) = (new_topic(&*broker).await, unique("Missing"));
    let batch = [numbered(&there, "a", 1), numbered(&missing, "a", 2)];
    let published = within("an answer", broker.publish(&batch)).await;
    assert!(matches!(published, Err(Error::NoTopic(name)) if name == missing));
    let topics = [there, missing.clone()];
    let joined = within("an answer", broker.subscribe("group", &topics)).await;
    assert!(matches!(joined, Err(Error::NoTopic(name)) if name == missing));

    // Once it is created both work.
    let made = broker.ensure_topics(std::slice::from_ref(&missing)).await;
    made.expect("a topic can be created");
    publish(&*broker, &batch[1..]).await;
    let mut member = join(&*broker, &unique("group"), &missing).await;
    assert_eq!(numbers(&take(&mut *member, 1).await), [2]);
}

/// Creating topics again, also by many at once, changes nothing.
pub async fn topics_are_created_once(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topics: Vec<_> = (0..3).map(|i| unique(&format!("Foo{i}"))).collect();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (broker, topics) = (Arc::clone(&broker), topics.clone());
        racers.spawn(async move { broker.ensure_topics(&topics).await });
    }
    while let Some(done) = racers.join_next().await {
        let done = done.expect("a racer finishes");
        done.expect("a topic may be there already");
    }
    publish(&*broker, &range(&topics[0], "a", 0..3)).await;
    let again = broker.ensure_topics(&topics).await;
    again.expect("a topic may be there already");
    publish(&*broker, &range(&topics[0], "a", 3..6)).await;
    let mut member = join(&*broker, &unique("group"), &topics[0]).await;
    let got = take(&mut *member, 6).await;
    assert_eq!(numbers(&got), (0..6).collect::<Vec<_>>());
}

/// What was published is there after the broker was closed and opened again.
pub async fn reopening_keeps_the_log(mut fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    publish(&*broker, &range(&topic, "a", 0..10)).await;
    drop(broker);
    if !fixture.reopen().await {
        return;
    }
    let broker = fixture.broker();
    publish(&*broker, &range(&topic, "a", 10..20)).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let got = take(&mut *member, 20).await;
    assert_eq!(numbers(&got), (0..20).collect::<Vec<_>>());
}

/// A closed broker says that it is not available, also to a member that waits.
pub async fn a_closed_broker_refuses(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let waiting = tokio::spawn(async move { member.next(1).await.map(|_| ()) });
    tokio::task::yield_now().await;
    within("the end", broker.close()).await;
    within("the end", broker.close()).await;
    let waited = within("an answer", waiting).await.expect("it finishes");
    assert!(matches!(waited, Err(Error::Unavailable(_))), "{waited:?}");
    let published = broker.publish(&[numbered(&topic, "a", 1)]).await;
    assert!(matches!(published, Err(Error::Unavailable(_))));
    let joined = broker.subscribe("group", &[topic]).await;
    assert!(matches!(joined, Err(Error::Unavailable(_))));
    assert!(broker.health().await.is_err());
}
