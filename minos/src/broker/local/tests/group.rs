//! Groups over several brokers on one file, as several processes have them.

use std::collections::BTreeSet;

use super::*;
use crate::clock::FixedClock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_woken_by_another_broker() {
    let folder = tempfile::tempdir().unwrap();
    let here = open(&folder, Options::default()).await;
    let there = open(&folder, Options::default()).await;
    here.ensure_topics(&topics()).await.unwrap();
    let mut member = here.subscribe("group", &topics()).await.unwrap();
    for n in 0..5 {
        let publishes = async {
            tokio::task::yield_now().await;
            there.publish(&spread(1, n..n + 1)).await.unwrap();
        };
        let (got, ()) = tokio::join!(take(&mut *member, 1), publishes);
        assert_eq!(numbers(&got), [n]);
    }
}

/// Every message comes, each key's in order, and none twice: members join and leave, but finish what they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_over_two_brokers_gets_each_message_once() {
    const COUNT: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let brokers = [
        open(&folder, Options::default()).await,
        open(&folder, Options::default()).await,
    ];
    brokers[0].ensure_topics(&topics()).await.unwrap();
    let seen: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..2 {
        let broker = brokers[publisher as usize].clone();
        tasks.spawn(async move {
            // Each publisher has its own keys, so that the order within a key is its own.
            let mine: Vec<_> = spread(20, 0..COUNT)
                .into_iter()
                .enumerate()
                .filter(|(n, _)| *n as u64 % 2 == publisher)
                .map(|(_, message)| message)
                .collect();
            for batch in mine.chunks(7) {
                broker.publish(batch).await.unwrap();
            }
        });
    }
    for consumer in 0..4_u64 {
        let (broker, seen) = (brokers[consumer as usize % 2].clone(), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut rounds = 0;
            while topic::lock(&seen).len() < COUNT as usize {
                rounds += 1;
                let mut member = broker.subscribe("group", &topics()).await.unwrap();
                for _ in 0..5 + (rounds + consumer) % 7 {
                    let patience = Duration::from_millis(20);
                    let Ok(got) = tokio::time::timeout(patience, member.next(50)).await else {
                        continue;
                    };
                    let got = got.unwrap();
                    for delivery in &got {
                        let key = delivery.message.as_ref().unwrap().key.clone();
                        topic::lock(&seen).push((key, number(delivery)));
                    }
                    member.commit(&origins(&got)).await.unwrap();
                }
            }
        });
    }
    let all = async {
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    };
    within("all messages", all).await;
    let seen = topic::lock(&seen);
    assert_eq!(seen.len(), COUNT as usize, "some came twice");
    check_order(&seen, 20, 0..COUNT);
}

/// How many partitions each member of the file has.
async fn shares(folder: &tempfile::TempDir) -> BTreeMap<String, i64> {
    let mut connection = connect(folder).await;
    let shares = "SELECT owner, count(*) FROM cursors JOIN members ON id = owner GROUP BY owner";
    let shares = sqlx::query_as(shares).fetch_all(&mut connection).await;
    shares.unwrap().into_iter().collect()
}

async fn settle(folder: &tempfile::TempDir, wanted: &[i64]) {
    let settled = async {
        loop {
            let mut found: Vec<_> = shares(folder).await.into_values().collect();
            found.sort_unstable();
            if found == wanted {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    within(&format!("shares {wanted:?}"), settled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_several_brokers_share_fairly() {
    let folder = tempfile::tempdir().unwrap();
    let brokers = [
        open(&folder, Options::default()).await,
        open(&folder, Options::default()).await,
    ];
    brokers[0].ensure_topics(&topics()).await.unwrap();
    let mut members = Vec::new();
    for (i, wanted) in [&[8][..], &[4, 4], &[2, 3, 3], &[2, 2, 2, 2]]
        .into_iter()
        .enumerate()
    {
        let joined = brokers[i % 2].subscribe("group", &topics()).await;
        members.push(joined.unwrap());
        settle(&folder, wanted).await;
    }
    members.remove(1);
    settle(&folder, &[2, 3, 3]).await;
    brokers[0].close().await;
    settle(&folder, &[8]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_members_than_partitions_wait_for_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default().partitions(1)).await;
    broker.ensure_topics(&topics()).await.unwrap();
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(broker.subscribe("group", &topics()).await.unwrap());
    }
    broker.publish(&spread(1, 0..1)).await.unwrap();
    while let Some(mut member) = members.pop() {
        // Whoever has the partition gets the message; the others wait until that one has left.
        let got = {
            let mut all: Vec<_> = members.iter_mut().map(|m| m.next(1)).collect();
            all.push(member.next(1));
            let (got, who, _) = within("a message", futures_util::future::select_all(all)).await;
            (got.unwrap(), who)
        };
        assert_eq!(numbers(&got.0), [0]);
        if got.1 < members.len() {
            members.remove(got.1);
            members.push(member);
        }
    }
}

/// Two brokers that share a clock. The lease is so long that nothing is renewed by itself, and the first one does not
/// notice what the other does: it is as good as stopped.
async fn stopped(folder: &tempfile::TempDir) -> (Arc<FixedClock>, [Broker; 2]) {
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let options = Options::default()
        .lease(Duration::from_secs(3600))
        .grace(Duration::from_secs(3600))
        .clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let brokers = [
        open(folder, options.clone().poll(Duration::from_secs(3600))).await,
        open(folder, options).await,
    ];
    brokers[0].ensure_topics(&topics()).await.unwrap();
    (clock, brokers)
}

async fn committed(folder: &tempfile::TempDir) -> i64 {
    let mut connection = connect(folder).await;
    let sum = sqlx::query_scalar("SELECT sum(committed) FROM cursors");
    sum.fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_lease_is_taken_over_and_its_commit_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, brokers) = stopped(&folder).await;
    brokers[0].publish(&spread(30, 0..30)).await.unwrap();
    let mut slow = brokers[0].subscribe("group", &topics()).await.unwrap();
    let taken = take(&mut *slow, 30).await;
    let owner = shares(&folder).await;

    clock.advance(Duration::from_secs(3599));
    // It has still a second: a new one gets nothing of what is not finished.
    let early = brokers[1].subscribe("group", &topics()).await.unwrap();
    assert_eq!(shares(&folder).await, owner);

    clock.advance(Duration::from_secs(2));
    let mut next = brokers[1].subscribe("group", &topics()).await.unwrap();
    drop(early);
    let again = take(&mut *next, 30).await;
    assert_eq!(again.len(), taken.len());
    assert!(
        shares(&folder)
            .await
            .keys()
            .all(|id| !owner.contains_key(id))
    );
    slow.commit(&origins(&taken)).await.unwrap();
    assert_eq!(committed(&folder).await, 0);

    // The other one goes on as if nothing was, and the slow one may come back later.
    next.commit(&origins(&again)).await.unwrap();
    assert!(committed(&folder).await > 0);
    drop(next);
    settle(&folder, &[]).await;
    brokers[0].publish(&spread(30, 30..60)).await.unwrap();
    let rest: BTreeSet<_> = numbers(&take(&mut *slow, 30).await).into_iter().collect();
    assert_eq!(rest, (30..60).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_partition_that_comes_back_starts_at_the_committed_offset() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, brokers) = stopped(&folder).await;
    brokers[0].publish(&spread(1, 0..10)).await.unwrap();
    let mut slow = brokers[0].subscribe("group", &topics()).await.unwrap();
    let taken = take(&mut *slow, 10).await;
    clock.advance(Duration::from_secs(3601));
    let mut other = brokers[1].subscribe("group", &topics()).await.unwrap();
    let got = take(&mut *other, 10).await;
    other.commit(&origins(&got[..4])).await.unwrap();
    drop(other);
    settle(&folder, &[]).await;
    let again = take(&mut *slow, 6).await;
    assert_eq!(numbers(&again), [4, 5, 6, 7, 8, 9]);
    // What it had of its first time does not move the group back.
    slow.commit(&origins(&taken[..2])).await.unwrap();
    assert_eq!(committed(&folder).await, got[3].origin.offset);
    slow.commit(&origins(&again)).await.unwrap();
    assert_eq!(committed(&folder).await, got[9].origin.offset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ends_too_far_in_the_future_is_expired() {
    let folder = tempfile::tempdir().unwrap();
    let (_clock, brokers) = stopped(&folder).await;
    let mut slow = brokers[0].subscribe("group", &topics()).await.unwrap();
    brokers[0].publish(&spread(30, 0..30)).await.unwrap();
    take(&mut *slow, 30).await;
    let before = shares(&folder).await;
    // As if the machine's clock had gone back by a day since.
    run(&folder, "UPDATE members SET until = until + 86400000000").await;
    let mut next = brokers[1].subscribe("group", &topics()).await.unwrap();
    assert_eq!(take(&mut *next, 30).await.len(), 30);
    assert!(
        shares(&folder)
            .await
            .keys()
            .all(|id| !before.contains_key(id))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_time_is_over_asks_before_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, brokers) = stopped(&folder).await;
    let mut member = brokers[0].subscribe("group", &topics()).await.unwrap();
    clock.advance(Duration::from_secs(3601));
    brokers[0].publish(&spread(30, 0..30)).await.unwrap();
    assert_eq!(take(&mut *member, 30).await.len(), 30);
    let mut connection = connect(&folder).await;
    let until = sqlx::query_scalar("SELECT until FROM members").fetch_one(&mut connection);
    let until: i64 = until.await.unwrap();
    assert!(until > clock.now().timestamp_micros());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_finished_moves_after_the_grace_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default().grace(Duration::from_millis(10));
    let brokers = [
        open(&folder, options.clone()).await,
        open(&folder, options).await,
    ];
    brokers[0].ensure_topics(&topics()).await.unwrap();
    brokers[0].publish(&spread(60, 0..60)).await.unwrap();
    let mut slow = brokers[0].subscribe("group", &topics()).await.unwrap();
    let taken = take(&mut *slow, 60).await;
    let mut next = brokers[1].subscribe("group", &topics()).await.unwrap();
    settle(&folder, &[4, 4]).await;
    let again = take(&mut *next, 1).await;
    assert!(numbers(&taken).contains(&number(&again[0])));
    // The part that moved is not its own any more, the other part is.
    slow.commit(&origins(&taken)).await.unwrap();
    drop((slow, next));
    let mut last = brokers[0].subscribe("group", &topics()).await.unwrap();
    let left = take(&mut *last, 1).await;
    assert!(left.len() < 60);
}

#[tokio::test]
async fn an_offset_outside_the_log_is_loud() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default()).await;
    broker.ensure_topics(&topics()).await.unwrap();
    broker.publish(&spread(1, 0..10)).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    let got = take(&mut *member, 10).await;
    member.commit(&origins(&got)).await.unwrap();
    broker.close().await;
    // As if the file's end was lost.
    run(&folder, "DELETE FROM messages WHERE offset > 7").await;

    let broker = open(&folder, Options::default()).await;
    let refused = broker.subscribe("group", &topics()).await.unwrap_err();
    let text = std::error::Error::source(&refused).unwrap().to_string();
    assert!(text.contains("`group`") && text.contains("`Foo`"), "{text}");
    assert!(text.contains("offset 10"), "{text}");
    assert!(text.contains("the log ends at 7"), "{text}");
    // Another group is not concerned.
    let mut other = broker.subscribe("other", &topics()).await.unwrap();
    assert_eq!(take(&mut *other, 7).await.len(), 7);
    // Offsets are not used twice, so what comes now lies behind the lost end.
    broker.publish(&spread(1, 10..11)).await.unwrap();
    assert_eq!(take(&mut *other, 1).await[0].origin.offset, 11);
}

#[tokio::test]
async fn a_subscription_outlives_the_handle_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default()).await;
    broker.ensure_topics(&topics()).await.unwrap();
    broker.publish(&spread(1, 0..3)).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    drop(broker);
    let got = take(&mut *member, 3).await;
    member.commit(&origins(&got)).await.unwrap();
    drop(member);
    let broker = open(&folder, Options::default()).await;
    broker.publish(&spread(1, 3..4)).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    assert_eq!(numbers(&take(&mut *member, 1).await), [3]);
}
