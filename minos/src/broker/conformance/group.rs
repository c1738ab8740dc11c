//! Groups, their members, and their offsets.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Messages with these numbers, each under its own key.
fn spread(topic: &str, numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers
        .map(|n| numbered(topic, &format!("key{n}"), n))
        .collect()
}

/// Every group gets every message, whether it joined before or after.
pub async fn every_group_gets_everything(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut members = Vec::new();
    for name in ["one", "two"] {
        members.push(join(&*broker, &unique(name), &topic).await);
    }
    publish(&*broker, &spread(&topic, 0..50)).await;
    members.push(join(&*broker, &unique("three"), &topic).await);
    for member in &mut members {
        let got = take(&mut **member, 50).await;
        let got: BTreeSet<_> = numbers(&got).into_iter().collect();
        assert_eq!(got, (0..50).collect());
    }
}

/// A group that never read starts with the oldest message.
pub async fn a_new_group_starts_at_the_beginning(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    publish(&*broker, &range(&topic, "a", 0..10)).await;
    let mut first = join(&*broker, &unique("first"), &topic).await;
    let got = take(&mut *first, 10).await;
    commit(&mut *first, &got).await;
    let mut second = join(&*broker, &unique("second"), &topic).await;
    let got = take(&mut *second, 10).await;
    assert_eq!(numbers(&got), (0..10).collect::<Vec<_>>());
}

/// Publishes and commits until every member got something, so that all of them hold partitions.
async fn settle(broker: &dyn Broker, topic: &str, members: &mut [Box<dyn Subscription>]) {
    let settled = async {
        let mut silent: BTreeSet<_> = (0..members.len()).collect();
        while !silent.is_empty() {
            publish(broker, &spread(topic, 1000..1030)).await;
            for (i, member) in members.iter_mut().enumerate() {
                let patience = Duration::from_millis(100);
                if let Ok(got) = tokio::time::timeout(patience, member.next(64)).await {
                    commit(&mut **member, &got.expect("a member can read")).await;
                    silent.remove(&i);
                }
            }
        }
    };
    within("every member has partitions", settled).await;
}

/// Two members of one group share the work: each message goes to one of them.
pub async fn members_share_without_overlap(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    let mut members = vec![
        join(&*broker, &group, &topic).await,
        join(&*broker, &group, &topic).await,
    ];
    settle(&*broker, &topic, &mut members).await;
    publish(&*broker, &spread(&topic, 0..200)).await;
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    let mut shares = [0, 0];
    let mut partitions: [BTreeSet<u32>; 2] = Default::default();
    let all = async {
        let [one, two] = &mut members[..] else {
            unreachable!("there are two members");
        };
        while counts.len() < 200 {
            let (i, got) = tokio::select! {
                got = one.next(16) => (0, got),
                got = two.next(16) => (1, got),
            };
            let got = got.expect("a member can read");
            for delivery in got.iter().filter(|d| number(d) < 200) {
                *counts.entry(number(delivery)).or_default() += 1;
                partitions[i].insert(delivery.origin.partition);
                shares[i] += 1;
            }
            let member = if i == 0 { &mut **one } else { &mut **two };
            commit(member, &got).await;
        }
    };
    within("all messages", all).await;
    assert!(counts.values().all(|n| *n == 1), "some came twice");
    assert!(shares.iter().all(|n| *n > 0), "one did all: {shares:?}");
    assert!(partitions[0].is_disjoint(&partitions[1]));
}

/// What a member did not finish goes to the others when it leaves.
pub async fn a_member_that_leaves_hands_over(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    let mut members = vec![
        join(&*broker, &group, &topic).await,
        join(&*broker, &group, &topic).await,
    ];
    settle(&*broker, &topic, &mut members).await;
    publish(&*broker, &spread(&topic, 0..100)).await;
    let mut stays = members.pop().expect("there are two");
    let mut leaves = members.pop().expect("there are two");
    let unfinished: BTreeSet<_> = numbers(&take(&mut *leaves, 1).await).into_iter().collect();
    drop(leaves);
    let mut got = BTreeSet::new();
    let all = async {
        while !(0..100).all(|n| got.contains(&n)) {
            got.extend(numbers(&take(&mut *stays, 1).await));
        }
    };
    within("all messages, at the member that stays", all).await;
    assert!(unfinished.is_subset(&got));
}

/// What was delivered and not committed comes again, in order.
pub async fn what_is_not_committed_comes_again(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &range(&topic, "a", 0..10)).await;
    for _ in 0..3 {
        let mut member = join(&*broker, &group, &topic).await;
        let got = take(&mut *member, 10).await;
        assert_eq!(numbers(&got), (0..10).collect::<Vec<_>>());
    }
}

/// What was committed does not come again to any member of the group.
pub async fn what_is_committed_does_not_come_again(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &range(&topic, "a", 0..10)).await;
    for n in 0..5 {
        let mut member = join(&*broker, &group, &topic).await;
        let got = take(&mut *member, 10 - 2 * n).await;
        let rest: Vec<_> = (2 * n as u64..10).collect();
        assert_eq!(numbers(&got), rest);
        commit(&mut *member, &got[..2]).await;
    }
    publish(&*broker, &range(&topic, "a", 10..11)).await;
    let mut member = join(&*broker, &group, &topic).await;
    assert_eq!(numbers(&take(&mut *member, 1).await), [10]);
}

/// Committing a lower offset after a higher one changes nothing.
pub async fn a_lower_commit_does_not_move_back(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &range(&topic, "a", 0..10)).await;
    let mut member = join(&*broker, &group, &topic).await;
    let got = take(&mut *member, 10).await;
    commit(&mut *member, &got[6..7]).await;
    commit(&mut *member, &got[2..3]).await;
    // Nor within one commit.
    commit(&mut *member, &[got[7].clone(), got[1].clone()]).await;
    drop(member);
    let mut member = join(&*broker, &group, &topic).await;
    assert_eq!(numbers(&take(&mut *member, 2).await), [8, 9]);
}

/// An offset above what the member got is ignored: nothing unseen is ever skipped.
pub async fn a_commit_above_the_delivered_skips_nothing(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &range(&topic, "a", 0..4)).await;
    let mut reader = join(&*broker, &unique("other"), &topic).await;
    let all = take(&mut *reader, 4).await;
    let mut member = join(&*broker, &group, &topic).await;
    let first = within("a message", member.next(1)).await.unwrap();
    assert_eq!(numbers(&first), [0]);
    commit(&mut *member, &all[3..]).await;
    let mut beyond = all[3].origin.clone();
    beyond.offset += 1000;
    within("a commit", member.commit(&[beyond])).await.unwrap();
    drop(member);
    let mut member = join(&*broker, &group, &topic).await;
    let again = take(&mut *member, 4).await;
    assert_eq!(numbers(&again), [0, 1, 2, 3]);
}

/// A commit is about the partitions it names and no other.
pub async fn partitions_are_committed_alone(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &spread(&topic, 0..60)).await;
    let mut member = join(&*broker, &group, &topic).await;
    let got = take(&mut *member, 60).await;
    let done_in = got[0].origin.partition;
    let (done, open): (Vec<_>, Vec<_>) =
        got.into_iter().partition(|d| d.origin.partition == done_in);
    commit(&mut *member, &done).await;
    drop(member);
    let mut member = join(&*broker, &group, &topic).await;
    let again = take(&mut *member, open.len()).await;
    let open: BTreeSet<_> = numbers(&open).into_iter().collect();
    let again: BTreeSet<_> = numbers(&again).into_iter().collect();
    assert_eq!(again, open);
}

/// A group continues where it was after the broker was closed and opened again.
pub async fn reopening_keeps_the_offsets(mut fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &range(&topic, "a", 0..10)).await;
    let mut member = join(&*broker, &group, &topic).await;
    let got = take(&mut *member, 10).await;
    commit(&mut *member, &got[..6]).await;
    drop(member);
    drop(broker);
    if !fixture.reopen().await {
        return;
    }
    let broker = fixture.broker();
    let mut member = join(&*broker, &group, &topic).await;
    let got = take(&mut *member, 4).await;
    assert_eq!(numbers(&got), [6, 7, 8, 9]);
}
