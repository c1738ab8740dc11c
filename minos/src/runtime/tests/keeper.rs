//! What is too old to be known is parked, and what waits for nothing goes on.

use chrono::TimeDelta;

use super::*;
use crate::{
    broker::memory::Broker,
    health::Health,
    runtime::{DeadLetters, Decision, Keeper, Stop},
    store::{Mark, Reason, UnitOfWork},
};

impl Bench {
    fn keeper(&self, retention: Duration) -> Keeper {
        Keeper {
            handler: self.handler.clone(),
            health: Arc::new(Health::default()),
            name: "keeper".to_owned(),
            retention,
        }
    }

    /// Takes the first of what is parked away, and none of what queues behind it.
    async fn take_first(&self, consumer: &str) {
        let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
        unit.revived.push(self.letters(consumer).await[0].id);
        self.store.commit(unit).await.unwrap();
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn old(message: Message) -> Message {
    Message {
        at: SystemClock.now() - TimeDelta::days(20),
        ..message
    }
}

#[tokio::test]
async fn a_command_that_is_older_than_what_is_remembered_is_parked_and_never_run() {
    let bench = bench(&[COMMAND], Role::Command, Recorder::default());
    // Until something was forgotten, all is known.
    let known = old(command(message::Kind::Command, SystemClock.new_uuid()));
    bench.request(&known).await;
    assert_eq!(bench.calls().len(), 1);
    bench.keeper(DAY * 14).forget().await.unwrap();
    let late = old(command(message::Kind::Command, SystemClock.new_uuid()));
    for _ in 0..2 {
        bench.request(&late).await;
        bench.request(&known).await;
    }
    bench
        .request(&command(message::Kind::Command, SystemClock.new_uuid()))
        .await;
    assert_eq!(bench.calls().len(), 2);
    let letters = bench.letters("s").await;
    assert_eq!((letters.len(), letters[0].reason), (1, Reason::Expired));
    // Nobody knows how it ended, so nobody is told; by force it runs, and its sender is.
    assert_eq!(letters[0].message, late);
    let dead = DeadLetters::new(bench.handler.clone(), Arc::new(Broker::new()));
    let by_force = Decision::by("alice").because("it did not run").by_force();
    dead.replay(letters[0].id, &by_force).await.unwrap();
    assert_eq!(bench.calls().len(), 3);
    let told = (Status::Done, Some(late.command_id()));
    assert_eq!(bench.replies().await.last(), Some(&told));
}

#[tokio::test]
async fn a_loose_event_that_is_older_than_what_is_remembered_is_parked_for_its_handler() {
    let bench = bench(&[UPDATED], Role::Command, Recorder::default());
    bench.keeper(DAY * 14).forget().await.unwrap();
    let mut message = old(event(1, 2));
    message.headers = Headers::default();
    for _ in 0..2 {
        bench.event(&message).await;
    }
    assert_eq!(bench.calls(), Vec::<String>::new());
    let letters = bench.letters("Block.first").await;
    assert_eq!((letters.len(), letters[0].reason), (1, Reason::Expired));
    // Events of aggregates have marks, which are never forgotten.
    bench.event(&old(event(1, 2))).await;
    assert_eq!(bench.calls(), v(&[2]));
}

#[tokio::test]
async fn what_queues_behind_nothing_goes_on() {
    let recorder = Recorder::default();
    recorder.poison.lock().unwrap().extend(v(&[2]));
    let bench = bench(&[UPDATED], Role::Command, recorder);
    for n in 2..=4 {
        bench.event(&event(1, n)).await;
    }
    // Somebody took the first one away, and died before the others.
    bench.take_first("Block.first").await;
    bench.keeper(DAY).sweep(&Stop::default()).await;
    assert_eq!(bench.calls(), v(&[3, 4]));
    assert_eq!(bench.parked().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_keeper_looks_for_what_queues_behind_nothing_once_a_consumer_begins_anew() {
    let recorder = Recorder::default();
    recorder.poison.lock().unwrap().extend(v(&[2]));
    let bench = bench(&[UPDATED], Role::Command, recorder);
    let keeper = tokio::spawn(bench.keeper(DAY).run(Stop::default()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 2..=4 {
        bench.event(&event(1, n)).await;
    }
    bench.take_first("Block.first").await;
    // The clock of the test jumps from one pause to the next.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.calls(), Vec::<String>::new());
    bench.handler.loose.notify_one();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.calls(), v(&[3, 4]));
    keeper.abort();
}

#[tokio::test]
async fn what_queues_behind_nothing_goes_on_when_an_event_comes_again() {
    let recorder = Recorder::default();
    recorder.poison.lock().unwrap().extend(v(&[2]));
    let bench = bench(&[CREATED, UPDATED], Role::Query, recorder);
    let last = event(1, 4);
    for message in [&event(1, 1), &event(1, 2), &event(1, 3), &last] {
        bench.event(message).await;
    }
    // Somebody handled the first of what was parked, and died before the others.
    bench.take_first("Block.second").await;
    bench.event(&last).await;
    assert_eq!(bench.calls(), v(&[1, 3, 4]));
    assert_eq!(bench.parked().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_gap_that_was_filled_goes_on_although_whoever_filled_it_died() {
    for swept in [true, false] {
        let bench = bench(&[UPDATED], Role::Command, Recorder::default());
        for n in [5, 7] {
            bench.event(&event(1, n)).await;
        }
        // As long as something is missing it stays.
        let keeper = bench.keeper(DAY);
        keeper.sweep(&Stop::default()).await;
        let letters = bench.letters("Block").await;
        assert_eq!((letters.len(), letters[0].reason), (1, Reason::Gap));
        let missing = event(1, 6);
        let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
        for consumer in ["Block", "Block.first"] {
            unit.marks.push(Mark {
                consumer: consumer.to_owned(),
                stream: StreamId::new("Foo", Uuid::from_u128(1)),
                expected: bench.guard(consumer, 1).await,
                reached: Guard {
                    version: 6,
                    tail: missing.id,
                },
            });
        }
        bench.store.commit(unit).await.unwrap();
        match swept {
            true => keeper.sweep(&Stop::default()).await,
            false => bench.event(&missing).await,
        }
        assert_eq!(bench.calls(), v(&[5, 7]), "{swept}");
        assert_eq!(bench.parked().await, Vec::<String>::new(), "{swept}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_letter_that_cannot_be_read_does_not_stop_the_keeper() {
    let mut bench = bench(&[UPDATED], Role::Command, Recorder::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db").display().to_string();
    let options = crate::store::sqlite::Options::default();
    let store = crate::store::sqlite::Store::open(&path, options).await;
    bench.handler.core = core(Arc::new(store.unwrap()));
    bench.recorder.poison.lock().unwrap().extend(v(&[2]));
    for n in 2..=3 {
        bench.event(&event(1, n)).await;
    }
    assert_eq!(crate::store::old_letters::spoil(&path).await, 2);
    let (keeper, stop) = (bench.keeper(DAY), Stop::default());
    keeper.sweep(&stop).await;
    assert!(bench.calls().is_empty());
    // It comes to its end and not to an error.
    stop.stop();
    keeper.run(stop).await.unwrap();
    bench.handler.core.store.close().await;
}
