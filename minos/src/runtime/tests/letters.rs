//! Dead letters: one handler's trouble is nobody else's, and what is parked comes back in order.

use futures_util::FutureExt;

use super::*;
use crate::{
    broker::{Broker, memory::Broker as MemoryBroker},
    health::Health,
    runtime::{DeadLetters, Decision, Relay, Report},
    store::{Mark, Reason, UnitOfWork},
    testing::{Moment, ObservedStore, Observer},
};

impl Bench {
    fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.handler.clone(), Arc::new(MemoryBroker::new()))
    }

    fn cure(&self) {
        self.recorder.poison.lock().unwrap().clear();
    }

    async fn all(&self) -> Vec<(String, Reason, Option<u64>)> {
        let letters = self.store.dead_letters(&LetterFilter::all(100)).await;
        letters
            .unwrap()
            .into_iter()
            .map(|(_, l)| (l.consumer.clone(), l.reason, l.version()))
            .collect()
    }
}

fn poisoned(texts: &[String], sick: Option<usize>) -> Recorder {
    let recorder = Recorder {
        sick,
        ..Recorder::default()
    };
    recorder.poison.lock().unwrap().extend(texts.to_vec());
    recorder
}

fn why() -> Decision {
    Decision::by("alice").because("fixed")
}

/// An event that belongs to no aggregate.
fn loose() -> Message {
    let mut message = event(1, 2);
    message.headers = Headers::default();
    message
}

#[tokio::test]
async fn a_failing_handler_neither_blocks_nor_repeats_its_siblings() {
    let recorder = poisoned(&v(&[2]), Some(1));
    let bench = bench(&[UPDATED, UPDATED, UPDATED], Role::Command, recorder);
    for n in 2..=4 {
        let event = event(1, n);
        for _ in 0..2 {
            bench.event(&event).await;
        }
    }
    // Two siblings, each once and in order, whatever the second one is at.
    assert_eq!(bench.calls(), v(&[2, 2, 3, 3, 4, 4]));
    assert_eq!(
        bench.all().await,
        [
            ("Block.second".to_owned(), Reason::Failed, Some(2)),
            ("Block.second".to_owned(), Reason::Behind, Some(3)),
            ("Block.second".to_owned(), Reason::Behind, Some(4)),
        ]
    );
    bench.cure();
    let letters = bench.dead_letters();
    let first = bench.letters("Block.second").await[0].id;
    let report = letters.replay(first, &why()).await.unwrap();
    assert_eq!((report.done.len(), report.done[0]), (3, first));
    assert_eq!(bench.calls()[6..], v(&[2, 3, 4]));
    assert_eq!(bench.all().await, []);
    for name in ["Block", "Block.first", "Block.second", "Block.third"] {
        assert_eq!(bench.mark(name, 1).await, Some(4), "{name}");
    }
}

#[tokio::test]
async fn after_a_crash_between_two_handlers_only_the_other_one_runs() {
    let bench = bench(&[UPDATED, UPDATED], Role::Command, Recorder::default());
    let message = event(1, 2);
    let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
    unit.marks.push(Mark {
        consumer: "Block.first".to_owned(),
        stream: StreamId::new("Foo", Uuid::from_u128(1)),
        expected: None,
        reached: Guard {
            version: 2,
            tail: message.id,
        },
    });
    bench.store.commit(unit).await.unwrap();
    for _ in 0..2 {
        bench.event(&message).await;
    }
    assert_eq!(bench.calls(), v(&[2]));
    assert_eq!(bench.mark("Block", 1).await, Some(2));
    assert_eq!(bench.mark("Block.second", 1).await, Some(2));
}

#[tokio::test]
async fn a_handler_that_fails_for_now_is_tried_again_alone() {
    let recorder = Arc::new(poisoned(&v(&[2]), Some(0)));
    let bench = bench(&[UPDATED, UPDATED], Role::Command, Recorder::default());
    let mut block = bench.handler.handlers[0].clone();
    block.dispatch = Arc::new(CuredAfterOne(recorder.clone()));
    let message = event(1, 2);
    let origin = Some(&PLACE);
    let incoming = Incoming {
        message: &message,
        origin,
    };
    bench.handler.event(&block, incoming).await.unwrap();
    assert_eq!(*recorder.calls.lock().unwrap(), v(&[2, 2]));
    assert_eq!(bench.all().await, []);
    assert_eq!(bench.mark("Block", 1).await, Some(2));
}

/// The first call fails, and what it fails for is gone then.
#[derive(Debug)]
struct CuredAfterOne(Arc<Recorder>);

impl Dispatch for CuredAfterOne {
    fn call<'a>(&'a self, route: usize, cx: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let answer = self.0.call(route, cx, raw).await;
            self.0.poison.lock().unwrap().clear();
            answer
        })
    }
}

#[tokio::test]
async fn what_is_decided_about_a_later_event_takes_none_from_the_last_handler() {
    for (decides, sick) in [
        (Decides::Discard, false),
        (Decides::Discard, true),
        (Decides::Force, false),
        (Decides::Force, true),
    ] {
        let recorder = if sick {
            poisoned(&v(&[6]), Some(1))
        } else {
            Recorder::default()
        };
        let bench = bench(&[UPDATED, UPDATED], Role::Command, recorder);
        for n in [5, 7] {
            bench.event(&event(1, n)).await;
        }
        let gap = bench.letters("Block").await[0].id;
        let mut block = bench.handler.handlers[0].clone();
        block.dispatch = Arc::new(Meddled {
            recorder: bench.recorder.clone(),
            letters: bench.dead_letters(),
            gap,
            decides,
        });
        let message = event(1, 6);
        let origin = Some(&PLACE);
        let incoming = Incoming {
            message: &message,
            origin,
        };
        bench.handler.event(&block, incoming).await.unwrap();
        assert_eq!(bench.mark("Block", 1).await, Some(7), "{decides:?}");
        assert_eq!(bench.mark("Block.first", 1).await, Some(6), "{decides:?}");
        assert_eq!(bench.mark("Block.second", 1).await, Some(6), "{decides:?}");
        let left: &[_] = match sick {
            true => &[("Block.second".to_owned(), Reason::Failed, Some(6))],
            false => &[],
        };
        assert_eq!(bench.all().await, left, "{decides:?}");
        // Nothing is held up or lost after that.
        bench.cure();
        let (letters, all) = (bench.dead_letters(), LetterFilter::all(9));
        letters.replay_all(&all, &why()).await.unwrap();
        bench.event(&event(1, 8)).await;
        assert_eq!(bench.calls()[bench.calls().len() - 2..], v(&[8, 8]));
        assert_eq!(bench.all().await, []);
    }
}

#[derive(Debug, Clone, Copy)]
enum Decides {
    Discard,
    Force,
}

/// Somebody decides about a gap while what was missing is in the last handler.
#[derive(Debug)]
struct Meddled {
    recorder: Arc<Recorder>,
    letters: DeadLetters,
    gap: Uuid,
    decides: Decides,
}

impl Dispatch for Meddled {
    fn call<'a>(&'a self, route: usize, cx: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            if route == 1 && self.letters.get(self.gap).await.is_ok() {
                match self.decides {
                    Decides::Discard => self.letters.discard(self.gap, &why()).await,
                    Decides::Force => self.letters.replay(self.gap, &why().by_force()).await,
                }
                .unwrap();
            }
            self.recorder.call(route, cx, raw).await
        })
    }
}

#[tokio::test]
async fn a_parked_event_without_an_aggregate_does_not_run_again_beside_its_letter() {
    let recorder = poisoned(&v(&[2]), None);
    let bench = bench(&[UPDATED], Role::Command, recorder);
    let message = loose();
    bench.event(&message).await;
    bench.cure();
    bench.event(&message).await;
    assert_eq!(bench.calls(), Vec::<String>::new());
    let letters = bench.letters("Block.first").await;
    assert_eq!((letters.len(), letters[0].attempts), (1, 3));
    let report = bench.dead_letters().replay(letters[0].id, &why()).await;
    assert_eq!(report.unwrap().done, [letters[0].id]);
    bench.event(&message).await;
    assert_eq!(bench.calls(), v(&[2]));
}

#[tokio::test]
async fn aggregates_of_two_types_with_one_id_do_not_park_each_other() {
    const OTHER: Door = Door::Event {
        topic: "Bar",
        name: "FooUpdated",
        field: None,
    };
    let recorder = poisoned(&v(&[2]), None);
    let bench = bench(&[UPDATED, OTHER], Role::Command, recorder);
    let other = Message {
        topic: "Bar".to_owned(),
        ..event(1, 3)
    };
    bench.event(&event(1, 2)).await;
    bench.event(&other).await;
    assert_eq!(bench.calls(), v(&[3]));
    let letters = bench.letters("Block.first").await;
    let key = format!("Foo/{}", Uuid::from_u128(1));
    assert_eq!((letters.len(), &letters[0].key), (1, &key));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_parked_every_time_it_is_sent() {
    let bench = bench(&[COMMAND], Role::Command, Recorder::default());
    let mut message = command(message::Kind::Command, SystemClock.new_uuid());
    message.payload = Payload::encode("x".repeat(2 << 20).as_str()).unwrap();
    let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
    unit.outbox.push(message);
    bench.store.commit(unit).await.unwrap();
    let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new());
    let relay = Relay {
        core: bench.handler.core.clone(),
        broker: broker.clone(),
        health: Arc::new(Health::default()),
        name: "relay".to_owned(),
        taken: Arc::default(),
    };
    let stop = crate::runtime::Stop::default();
    let running = tokio::spawn(relay.run(stop.clone()));
    let dead = DeadLetters::new(bench.handler.clone(), broker);
    for _ in 0..3 {
        let letter = until(|| async { bench.letters("relay").await.pop() }).await;
        assert_eq!(letter.reason, Reason::Unpublished);
        assert!(letter.error.contains("above the limit"), "{}", letter.error);
        let report = dead.replay(letter.id, &why()).await.unwrap();
        assert_eq!(report.done, [letter.id]);
    }
    until(|| async { bench.letters("relay").await.pop() }).await;
    running.abort();
}

/// As after a crash of a server that had not flushed the last step of the cursor.
#[tokio::test]
async fn a_cursor_that_was_set_back_moves_again() {
    const CURSOR: &str = "relay:outbox";
    let bench = bench(&[COMMAND], Role::Command, Recorder::default());
    let relay = Relay {
        core: bench.handler.core.clone(),
        broker: Arc::new(MemoryBroker::new()),
        health: Arc::new(Health::default()),
        name: "relay".to_owned(),
        taken: Arc::default(),
    };
    let running = tokio::spawn(relay.run(crate::runtime::Stop::default()));
    let store = &bench.store;
    for _ in 0..3 {
        let message = command(message::Kind::Command, SystemClock.new_uuid());
        let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
        unit.outbox.push(message);
        store.commit(unit).await.unwrap();
        let moved = until(|| async {
            let cursor = store.cursor(CURSOR).await.unwrap();
            (cursor.position > Position::START).then_some(cursor)
        })
        .await;
        let back = store.move_cursor(CURSOR, moved, Position::START).await;
        assert!(back.unwrap());
    }
    running.abort();
}

/// Waits until there is one.
async fn until<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time")
}

#[tokio::test]
async fn a_later_letter_of_a_key_waits_for_the_first() {
    let bench = bench(&[UPDATED], Role::Command, poisoned(&v(&[2]), None));
    for n in 2..=3 {
        bench.event(&event(1, n)).await;
    }
    let letters = bench.dead_letters();
    let [first, behind] = bench.letters("Block.first").await.try_into().unwrap();
    let refused = letters.replay(behind.id, &why()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(Kind::Conflict));
    assert!(refused.to_string().contains(&first.id.to_string()));

    // It fails once more, stays where it is, and remembers it.
    let report = letters.replay(first.id, &why()).await.unwrap();
    assert_eq!((report.done.len(), report.failed.len()), (0, 1));
    assert_eq!(bench.calls(), Vec::<String>::new());
    let again = letters.get(first.id).await.unwrap();
    assert_eq!((again.attempts, again.history.len()), (4, 4));
    let told: Vec<_> = letters
        .operations(Some(first.id), 10)
        .await
        .unwrap()
        .into_iter()
        .map(|o| (o.what, o.by, o.why))
        .collect();
    let text = str::to_owned;
    assert_eq!(
        told,
        [(text("replay_failed"), text("alice"), text("fixed"))]
    );
}

#[tokio::test]
async fn a_discarded_event_lets_those_behind_it_go_and_is_remembered() {
    let bench = bench(&[UPDATED], Role::Command, poisoned(&v(&[2]), None));
    for n in 2..=3 {
        bench.event(&event(1, n)).await;
    }
    let letters = bench.dead_letters();
    let first = bench.letters("Block.first").await[0].clone();
    let silent = letters.discard(first.id, &Decision::by("bob")).await;
    assert_eq!(silent.unwrap_err().kind(), Some(Kind::Invalid));
    let gone = Decision::by("bob").because("a duplicate");
    let report = letters.discard(first.id, &gone).await.unwrap();
    assert_eq!(report.done.len(), 2);
    assert_eq!(bench.calls(), v(&[3]));
    assert_eq!(bench.all().await, []);
    let told = &letters.operations(None, 10).await.unwrap()[0];
    assert_eq!(
        (&*told.what, &*told.by, &*told.why),
        ("discarded", "bob", "a duplicate")
    );
    assert_eq!(told.of["payload"], "{\"v\":2}");
    let again = letters.discard(first.id, &gone).await.unwrap_err();
    assert_eq!(again.kind(), Some(Kind::NotFound));
}

#[tokio::test]
async fn a_fork_holds_its_aggregate_until_somebody_decides() {
    let bench = bench(&[CREATED, UPDATED], Role::Query, Recorder::default());
    let fork = event(1, 1);
    for message in [event(1, 1), fork.clone(), fork, event(1, 2)] {
        bench.event(&message).await;
    }
    assert_eq!(bench.calls(), v(&[1]));
    assert_eq!(
        bench.all().await,
        [
            ("Block".to_owned(), Reason::Fork, Some(1)),
            ("Block".to_owned(), Reason::Behind, Some(2)),
        ]
    );
    let letters = bench.dead_letters();
    let fork = bench.letters("Block").await[0].id;
    let refused = letters.replay(fork, &why()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(Kind::Conflict));
    let report = letters.discard(fork, &why()).await.unwrap();
    assert_eq!(report.done.len(), 2);
    assert_eq!(bench.calls(), v(&[1, 2]));
    assert_eq!(bench.all().await, []);
}

#[tokio::test]
async fn what_waited_for_a_block_goes_only_to_the_handlers_that_are_not_done_with_it() {
    let bench = bench(&[UPDATED, UPDATED], Role::Command, Recorder::default());
    let next = event(1, 5);
    bench.event(&event(1, 4)).await;
    // Another instance is between the two handlers of the next one when a fork parks it here.
    let before = bench.guard("Block.first", 1).await;
    let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
    unit.marks.push(Mark {
        consumer: "Block.first".to_owned(),
        stream: StreamId::new("Foo", Uuid::from_u128(1)),
        expected: before,
        reached: Guard {
            version: 5,
            tail: next.id,
        },
    });
    bench.store.commit(unit).await.unwrap();
    for message in [event(1, 4), next] {
        bench.event(&message).await;
    }
    assert_eq!(
        bench.all().await,
        [
            ("Block".to_owned(), Reason::Fork, Some(4)),
            ("Block".to_owned(), Reason::Behind, Some(5)),
        ]
    );
    let letters = bench.dead_letters();
    let fork = bench.letters("Block").await[0].id;
    letters.discard(fork, &why()).await.unwrap();
    assert_eq!(bench.calls(), v(&[4, 4, 5]));
    for name in ["Block", "Block.first", "Block.second"] {
        assert_eq!(bench.mark(name, 1).await, Some(5), "{name}");
    }
    // By force every handler gets the other event of a version that it has seen.
    bench.event(&event(1, 5)).await;
    let fork = bench.letters("Block").await[0].id;
    letters.replay(fork, &why().by_force()).await.unwrap();
    assert_eq!(bench.calls()[3..], v(&[5, 5]));
    assert_eq!(bench.all().await, []);
}

#[tokio::test]
async fn a_handler_that_ends_while_the_block_is_drained_is_not_run_again() {
    let mut bench = bench(&[UPDATED], Role::Command, Recorder::default());
    for n in [5, 7] {
        bench.event(&event(1, n)).await;
    }
    let next = bench.letters("Block").await[0].message.clone();
    let missing = event(1, 6);
    let reached = |message: &Message| Guard {
        version: message.headers.version.unwrap(),
        tail: message.id,
    };
    let guard = bench.guard("Block.first", 1).await;
    // Another instance handles both while this one lets the later one go.
    let steps = [
        ("Block.first", guard, reached(&missing)),
        ("Block", guard, reached(&missing)),
        ("Block.first", Some(reached(&missing)), reached(&next)),
    ];
    bench.handler.core = core(Arc::new(ObservedStore::new(
        bench.store.clone(),
        Arc::new(Faster {
            store: bench.store.clone(),
            steps: Mutex::new(steps.into()),
        }),
    )));
    let letter = bench.letters("Block").await[0].id;
    let by_force = why().by_force();
    let report = bench.dead_letters().replay(letter, &by_force).await;
    assert_eq!(report.unwrap().done, [letter]);
    assert_eq!(bench.calls(), v(&[5]));
    assert_eq!(bench.all().await, []);
    assert_eq!(bench.mark("Block", 1).await, Some(7));
    assert_eq!(bench.mark("Block.first", 1).await, Some(7));
}

/// Another instance that moves marks just before this one commits.
#[derive(Debug)]
struct Faster {
    store: Arc<memory::Store>,
    steps: Mutex<Vec<(&'static str, Option<Guard>, Guard)>>,
}

#[async_trait::async_trait]
impl Observer for Faster {
    async fn before(&self, _: Moment<'_>) {
        for (consumer, expected, reached) in self.steps.lock().unwrap().drain(..) {
            let mut unit = UnitOfWork::new(SystemClock.new_uuid(), SystemClock.now());
            unit.marks.push(Mark {
                consumer: consumer.to_owned(),
                stream: StreamId::new("Foo", Uuid::from_u128(1)),
                expected,
                reached,
            });
            self.store.commit(unit).now_or_never().unwrap().unwrap();
        }
    }

    async fn after(&self, _: Moment<'_>) {}
}

#[tokio::test]
async fn by_force_an_event_is_handled_without_those_before_it() {
    let bench = bench(&[UPDATED], Role::Query, Recorder::default());
    for n in 3..=4 {
        bench.event(&event(1, n)).await;
    }
    let letters = bench.dead_letters();
    let first = bench.letters("Block").await[0].id;
    let refused = letters.replay(first, &why()).await.unwrap_err();
    assert!(refused.to_string().contains("missing"), "{refused}");
    let report = letters.replay(first, &why().by_force()).await.unwrap();
    assert_eq!(report.done.len(), 2);
    assert_eq!(bench.calls(), v(&[3, 4]));
    assert_eq!(bench.mark("Block", 1).await, Some(4));
}

#[tokio::test]
async fn by_filter_nothing_is_forced_that_is_not_meant() {
    let bench = bench(&[UPDATED], Role::Command, Recorder::default());
    let mut other = event(1, 8);
    other.name = "FooMoved".to_owned();
    for message in [event(1, 5), event(1, 7), other] {
        bench.event(&message).await;
    }
    let named = |name: &str| LetterFilter {
        name: Some(name.to_owned()),
        ..LetterFilter::all(100)
    };
    let letters = bench.dead_letters();
    let [gap, other] = bench.letters("Block").await.try_into().unwrap();
    let by_force = why().by_force();
    let report = letters.replay_all(&named("FooMoved"), &by_force).await;
    let report = report.unwrap();
    assert_eq!((report.done.len(), report.held.len()), (0, 1));
    assert_eq!(report.held[0].letter, gap.id);
    assert_eq!(bench.calls(), v(&[5]));
    assert_eq!(bench.mark("Block", 1).await, Some(5));
    // What was meant takes the other one with it, which needs no force then.
    let report = letters.replay_all(&named("FooUpdated"), &by_force).await;
    assert_eq!(report.unwrap().done, [gap.id, other.id]);
    assert_eq!(bench.calls(), v(&[5, 7]));
    assert_eq!(bench.mark("Block", 1).await, Some(8));
}

#[tokio::test]
async fn by_filter_keys_go_on_that_others_do_not() {
    let recorder = poisoned(&v(&[2, 9]), None);
    let bench = bench(&[UPDATED], Role::Command, recorder);
    for n in [2, 3] {
        bench.event(&event(1, n)).await;
        bench.event(&event(2, n + 7)).await;
    }
    bench.recorder.poison.lock().unwrap().remove(&v(&[2])[0]);
    let letters = bench.dead_letters();
    let filter = LetterFilter::of("Block.first", 100);
    let report: Report = letters.replay_all(&filter, &why()).await.unwrap();
    assert_eq!(
        (report.done.len(), report.failed.len(), report.held.len()),
        (2, 1, 0)
    );
    assert_eq!(bench.calls(), v(&[2, 3]));
    let left: Vec<_> = bench
        .all()
        .await
        .into_iter()
        .map(|(_, r, v)| (r, v))
        .collect();
    assert_eq!(
        left,
        [(Reason::Failed, Some(9)), (Reason::Behind, Some(10))]
    );
    bench.cure();
    let failed = LetterFilter {
        reason: Some(Reason::Failed),
        ..LetterFilter::all(100)
    };
    let report = letters.replay_all(&failed, &why()).await.unwrap();
    assert_eq!(report.done.len(), 2);
    assert_eq!(bench.calls()[2..], v(&[9, 10]));
}

#[tokio::test]
async fn a_command_is_replayed_by_force_only_and_answers_nobody_then() {
    let recorder = poisoned(&["\"it\"".to_owned()], None);
    let bench = bench(&[COMMAND], Role::Command, recorder);
    let id = SystemClock.new_uuid();
    bench.request(&command(message::Kind::Command, id)).await;
    bench.cure();
    let letters = bench.dead_letters();
    let letter = bench.letters("s").await[0].id;
    let refused = letters.replay(letter, &why()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(Kind::Conflict));
    let report = letters.replay(letter, &why().by_force()).await.unwrap();
    assert_eq!(report.done, [letter]);
    assert_eq!(bench.calls().len(), 1);
    assert_eq!(bench.replies().await, [(Status::Failed, Some(id))]);
    // A copy of it is still answered as it was.
    bench.request(&command(message::Kind::Command, id)).await;
    assert_eq!(bench.calls().len(), 1);
    assert_eq!(bench.replies().await, vec![(Status::Failed, Some(id)); 2]);
}
