//! Groups: offsets that are gone, handlers that take long, and members that come and go.

use std::{collections::BTreeMap, error::Error as _};

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{
    worker::{Handled, Worker},
    *,
};
use crate::broker::Error;

/// A9: without offsets the group begins at the beginning, and the inbox of its user knows what it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_offsets_are_gone_reads_everything_again() {
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    broker.publish(&range("Foo", "a", 0..5)).await.unwrap();
    let mut member = join(&broker, "shop/Foo", "Foo").await;
    let got = take(&mut *member, 5).await;
    commit(&mut *member, &got).await;
    drop(member);
    let (admin, group) = (admin(&options), options.name("shop/Foo"));
    let gone = async {
        // It is refused as long as the member has not left.
        loop {
            let gone = admin.delete_groups(&[&group], &patiently()).await.unwrap();
            if gone[0].is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    within("the group is gone", gone).await;
    let mut member = join(&broker, "shop/Foo", "Foo").await;
    let again: Vec<u64> = take(&mut *member, 5).await.iter().map(number).collect();
    assert_eq!(again, [0, 1, 2, 3, 4]);
}

/// A9: messages that the group never saw were removed. Nothing is skipped without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committed_offset_outside_the_log_is_an_error() {
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    broker.publish(&range("Foo", "a", 0..6)).await.unwrap();
    let mut member = join(&broker, "group", "Foo").await;
    let got = take(&mut *member, 6).await;
    commit(&mut *member, &got[..2]).await;
    let partition = i32::try_from(got[0].origin.partition).unwrap();
    drop(member);
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&options.name("Foo"), partition, Offset::Offset(4))
        .unwrap();
    let removed = admin(&options).delete_records(&before, &patiently()).await;
    removed.unwrap();
    for _ in 0..2 {
        let mut member = join(&broker, "group", "Foo").await;
        let e = within("an error", member.next(10)).await.unwrap_err();
        assert!(matches!(e, Error::Backend(_)), "{e:?}");
        let text = e.source().unwrap().to_string();
        assert!(text.contains("outside the log"), "{text}");
    }
    // Another group has no offset and begins with what is there.
    let mut member = join(&broker, "other", "Foo").await;
    let got: Vec<u64> = take(&mut *member, 2).await.iter().map(number).collect();
    assert_eq!(got, [4, 5]);
}

/// B2: a handler takes longer than a member may be silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_long_costs_no_membership() {
    let options = options()
        .session(Duration::from_secs(5))
        .property("max.poll.interval.ms", "5000");
    let broker = with_topic(&options, "Foo").await;
    broker.publish(&range("Foo", "a", 0..2)).await.unwrap();
    let mut member = join(&broker, "group", "Foo").await;
    let got = take(&mut *member, 2).await;
    // Nothing comes, and nothing fails, for twice as long.
    let nothing = tokio::time::timeout(Duration::from_secs(11), member.next(1)).await;
    assert!(nothing.is_err(), "{nothing:?}");
    commit(&mut *member, &got).await;
    drop(member);
    broker.publish(&range("Foo", "a", 2..3)).await.unwrap();
    let mut member = join(&broker, "group", "Foo").await;
    assert_eq!(number(&take(&mut *member, 1).await[0]), 2);
}

/// More waits than is kept in memory: fetching pauses, and goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_everything_once() {
    const ALL: u64 = 12_000;
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    for from in (0..ALL).step_by(1000) {
        let batch: Vec<Message> = (from..from + 1000)
            .map(|n| message("Foo", &format!("key{}", n % 50), n))
            .collect();
        broker.publish(&batch).await.unwrap();
    }
    let mut member = join(&broker, "group", "Foo").await;
    let mut got: BTreeMap<u64, u32> = BTreeMap::new();
    let mut last: BTreeMap<u32, i64> = BTreeMap::new();
    while got.len() < ALL as usize {
        let next = within("the next messages", member.next(37)).await.unwrap();
        for delivery in &next {
            *got.entry(number(delivery)).or_default() += 1;
            let Origin {
                partition, offset, ..
            } = delivery.origin;
            let before = last.insert(partition, offset).unwrap_or(-1);
            assert_eq!(before + 1, offset, "partition {partition}");
        }
    }
    assert!(got.values().all(|n| *n == 1), "some came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_go_lose_nothing_and_keep_the_order() {
    const KEYS: u64 = 20;
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    let all = Handled::default();
    let steady = Worker::start(join(&broker, "group", "Foo").await, &all);
    let mut published = 0;
    for _ in 0..6 {
        let visitor = Worker::start(join(&broker, "group", "Foo").await, &all);
        // It stays until it has got something to do.
        let working = async {
            while visitor.count() == 0 {
                let batch: Vec<Message> = (0..KEYS)
                    .map(|key| message("Foo", &format!("key{key}"), published))
                    .collect();
                broker.publish(&batch).await.unwrap();
                published += 1;
            }
        };
        within("work for the visitor", working).await;
        visitor.leave().await;
    }
    let done = async {
        while all.distinct() < published * KEYS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("everything", done).await;
    steady.leave().await;
    all.check_order();
    let doubled = all.count() - published * KEYS;
    println!("{} messages, 0 lost, {doubled} doubled", published * KEYS);
}
