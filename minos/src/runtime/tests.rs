//! Messages that come twice, late, out of order, or poisoned.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use uuid::Uuid;

use super::handle::{Handler, Incoming, Retries};
use crate::{
    clock::{Clock, SystemClock},
    context::{Context, Core, Limits, Slots, Soon},
    enroute::private::Dispatch,
    enroute::{Answer, At, BoxFuture, Door, Handlers, Raw, Refused, Resources, Role, RouteInfo},
    error::{Failure, Kind},
    message::{self, Headers, Message, Origin, Status},
    payload::Payload,
    saga::Flow,
    store::{DeadLetter, Guard, LetterFilter, Position, Store, StreamId, memory},
};

mod deploys;
mod keeper;
mod letters;
mod sagas;

/// Notes what it is called with; fails for what is on its list.
#[derive(Debug, Default)]
struct Recorder {
    calls: Mutex<Vec<String>>,
    poison: Mutex<BTreeSet<String>>,
    /// Which method fails for them; [`None`] for all.
    sick: Option<usize>,
    refuse: bool,
}

impl Dispatch for Recorder {
    fn call<'a>(&'a self, route: usize, _: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let text = raw
                .content
                .as_ref()
                .map(|c| c.as_str().to_owned())
                .unwrap_or_default();
            let sick = self.sick.is_none_or(|sick| sick == route);
            if sick && self.poison.lock().unwrap().contains(&text) {
                return Answer::Failed(Failure::new(Kind::Internal, "poisoned"));
            }
            self.calls.lock().unwrap().push(text.clone());
            if self.refuse {
                let body = Payload::encode("no").unwrap();
                return Answer::Refused(Refused {
                    status: 409,
                    code: "No",
                    text,
                    body,
                });
            }
            Answer::Done {
                status: 200,
                body: Some(Payload::encode("yes").unwrap()),
            }
        })
    }
}

/// The methods of the block, one for each door.
const METHODS: [&str; 3] = ["first", "second", "third"];

const PLACE: Origin = Origin {
    topic: String::new(),
    partition: 0,
    offset: 7,
};

struct Bench {
    handler: Handler,
    recorder: Arc<Recorder>,
    store: Arc<memory::Store>,
}

fn core(store: Arc<dyn Store>) -> Arc<Core> {
    with_sagas(store, BTreeMap::new())
}

fn with_sagas(store: Arc<dyn Store>, sagas: BTreeMap<&'static str, Arc<dyn Flow>>) -> Arc<Core> {
    Arc::new(Core {
        name: "s".to_owned(),
        store,
        clock: Arc::new(SystemClock),
        slots: Slots::default(),
        resources: Resources::default(),
        sagas,
        soon: Soon::default(),
        limits: Limits::default(),
        runtime: tokio::runtime::Handle::current(),
        fatal: tokio::sync::watch::Sender::new(None),
    })
}

fn bench(doors: &[Door], role: Role, recorder: Recorder) -> Bench {
    let (store, recorder) = (Arc::new(memory::Store::new()), Arc::new(recorder));
    let core = core(store.clone());
    let method = |name| At::new(name, "file.rs", 1);
    let routes = doors
        .iter()
        .zip(METHODS)
        .map(|(door, name)| RouteInfo {
            door: *door,
            at: method(name),
        })
        .collect();
    let handlers = Handlers {
        name: "Block",
        role,
        routes,
        dispatch: recorder.clone(),
    };
    let retries = Retries {
        attempts: 3,
        first: Duration::from_micros(10),
        most: Duration::from_micros(10),
        patience: Duration::from_secs(30),
    };
    let handler = Handler {
        core,
        handlers: Arc::new(vec![handlers]),
        retries,
        stop: super::Stop::default(),
        loose: Arc::default(),
    };
    Bench {
        handler,
        recorder,
        store,
    }
}

impl Bench {
    fn calls(&self) -> Vec<String> {
        self.recorder.calls.lock().unwrap().clone()
    }

    /// Delivers an event as the broker does.
    async fn event(&self, message: &Message) {
        let origin = Some(&PLACE);
        let incoming = Incoming { message, origin };
        let handlers = &self.handler.handlers[0];
        self.handler.event(handlers, incoming).await.unwrap();
    }

    async fn request(&self, message: &Message) {
        let origin = Some(&PLACE);
        let incoming = Incoming { message, origin };
        self.handler.request(incoming).await.unwrap();
    }

    async fn mark(&self, consumer: &str, stream: u128) -> Option<u64> {
        let mark = self.guard(consumer, stream).await;
        mark.map(|m| m.version)
    }

    async fn guard(&self, consumer: &str, stream: u128) -> Option<Guard> {
        let stream = StreamId::new("Foo", Uuid::from_u128(stream));
        self.store.mark(consumer, &stream).await.unwrap()
    }

    async fn parked(&self) -> Vec<String> {
        let all = LetterFilter::all(100);
        let letters = self.store.dead_letters(&all).await.unwrap();
        letters
            .into_iter()
            .map(|(_, l)| format!("{} {}", l.message.payload.as_str(), l.error))
            .collect()
    }

    async fn letters(&self, consumer: &str) -> Vec<DeadLetter> {
        let filter = LetterFilter::of(consumer, 100);
        let letters = self.store.dead_letters(&filter).await.unwrap();
        letters.into_iter().map(|(_, letter)| letter).collect()
    }

    async fn replies(&self) -> Vec<(Status, Option<Uuid>)> {
        let outbox = self.store.outbox(Position::START, 100).await.unwrap();
        let reply = |m: &Message| (m.headers.status.unwrap(), m.headers.command);
        outbox
            .iter()
            .filter(|(_, m)| m.kind == message::Kind::Reply)
            .map(|(_, m)| reply(m))
            .collect()
    }
}

const CREATED: Door = Door::Event {
    topic: "Foo",
    name: "FooCreated",
    field: None,
};
const UPDATED: Door = Door::Event {
    topic: "Foo",
    name: "FooUpdated",
    field: None,
};
const BAR: Door = Door::Event {
    topic: "Foo",
    name: "FooUpdated",
    field: Some("bar"),
};
const COMMAND: Door = Door::Command { topic: "Do" };

fn event(stream: u128, version: u64) -> Message {
    let id = SystemClock.new_uuid();
    let name = if version == 1 {
        "FooCreated"
    } else {
        "FooUpdated"
    };
    Message {
        id,
        kind: message::Kind::Event,
        topic: "Foo".to_owned(),
        name: name.to_owned(),
        key: Uuid::from_u128(stream).to_string(),
        at: SystemClock.now(),
        headers: Headers {
            stream: Some(Uuid::from_u128(stream)),
            version: Some(version),
            ..Headers::default()
        },
        payload: Payload::encode(&serde_json::json!({ "v": version })).unwrap(),
    }
}

fn v(versions: &[u64]) -> Vec<String> {
    versions.iter().map(|v| format!("{{\"v\":{v}}}")).collect()
}

fn command(kind: message::Kind, id: Uuid) -> Message {
    Message {
        id: SystemClock.new_uuid(),
        kind,
        topic: "Do".to_owned(),
        name: "Do".to_owned(),
        key: "k".to_owned(),
        at: SystemClock.now(),
        headers: Headers {
            command: Some(id),
            reply_to: Some("r".to_owned()),
            ..Headers::default()
        },
        payload: Payload::encode("it").unwrap(),
    }
}

#[tokio::test]
async fn an_event_that_comes_again_is_skipped() {
    let bench = bench(&[CREATED, UPDATED], Role::Query, Recorder::default());
    let events: Vec<_> = (1..=3).map(|n| event(1, n)).collect();
    for event in events.iter().chain(&events).chain(&events[1..]) {
        bench.event(event).await;
    }
    assert_eq!(bench.calls(), v(&[1, 2, 3]));
    let mark = bench
        .store
        .mark("Block", &StreamId::new("Foo", Uuid::from_u128(1)))
        .await
        .unwrap();
    assert_eq!(
        mark,
        Some(Guard {
            version: 3,
            tail: events[2].id
        })
    );
}

#[tokio::test]
async fn a_gap_parks_the_rest_of_its_aggregate_and_no_other_until_what_is_missing_comes() {
    let bench = bench(&[CREATED, UPDATED], Role::Query, Recorder::default());
    let (late, early) = (event(1, 4), event(1, 2));
    bench.event(&event(1, 1)).await;
    bench.event(&event(1, 3)).await;
    for _ in 0..2 {
        bench.event(&late).await;
    }
    bench.event(&event(2, 1)).await;
    assert_eq!(bench.calls(), v(&[1, 1]));
    let parked = bench.parked().await;
    assert_eq!(parked.len(), 2, "{parked:?}");
    assert!(
        parked[0].contains("versions 2..3 of Foo/00000000-0000-0000-0000-000000000001 are missing")
    );
    assert!(parked[1].starts_with("{\"v\":4}"));
    bench.event(&early).await;
    bench.event(&late).await;
    assert_eq!(bench.calls(), v(&[1, 1, 2, 3, 4]));
    assert_eq!(bench.parked().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_first_event_above_one_is_a_gap_for_a_view_and_a_beginning_for_a_reaction() {
    let view = bench(&[UPDATED], Role::Query, Recorder::default());
    view.event(&event(1, 4)).await;
    assert_eq!((view.calls(), view.parked().await.len()), (vec![], 1));
    let reaction = bench(&[UPDATED], Role::Command, Recorder::default());
    reaction.event(&event(1, 4)).await;
    assert_eq!(
        (reaction.calls(), reaction.parked().await.len()),
        (v(&[4]), 0)
    );
}

#[tokio::test]
async fn two_events_of_one_version_are_a_fork() {
    let bench = bench(&[CREATED], Role::Query, Recorder::default());
    bench.event(&event(1, 1)).await;
    bench.event(&event(1, 1)).await;
    assert_eq!(bench.calls(), v(&[1]));
    let parked = bench.parked().await;
    assert!(parked[0].contains("the log was forked"), "{parked:?}");
}

#[tokio::test]
async fn a_poisoned_event_parks_its_key_and_those_behind_it_in_order() {
    let recorder = Recorder::default();
    recorder.poison.lock().unwrap().extend(v(&[2]));
    let bench = bench(&[CREATED, UPDATED], Role::Query, recorder);
    for n in 1..=4 {
        bench.event(&event(1, n)).await;
        bench.event(&event(2, if n == 2 { 2 } else { n })).await;
    }
    assert_eq!(bench.calls(), v(&[1, 1]));
    // The second method's: the first one takes nothing of version 2 and above.
    let letters = bench.letters("Block.second").await;
    assert_eq!(letters.len(), bench.parked().await.len());
    let of = |stream: u128| -> Vec<(String, u32)> {
        let key = format!("Foo/{}", Uuid::from_u128(stream));
        let mine = letters.iter().filter(|l| l.key == key);
        mine.map(|l| (l.message.payload.as_str().to_owned(), l.attempts))
            .collect()
    };
    let expected: Vec<_> = v(&[2, 3, 4]).into_iter().zip([3, 0, 0]).collect();
    assert_eq!(of(1), expected);
    assert_eq!(of(2), expected);
}

#[tokio::test]
async fn events_without_a_handler_move_the_mark() {
    let bench = bench(&[CREATED], Role::Query, Recorder::default());
    for n in 1..=3 {
        bench.event(&event(1, n)).await;
    }
    assert_eq!(bench.calls(), v(&[1]));
    assert_eq!(bench.mark("Block", 1).await, Some(3));
}

#[tokio::test]
async fn a_handler_of_a_field_runs_only_if_the_field_changed() {
    let bench = bench(&[BAR], Role::Command, Recorder::default());
    let mut first = event(1, 2);
    first.payload = Payload::encode(&serde_json::json!({ "bar": "x" })).unwrap();
    bench.event(&first).await;
    bench.event(&event(1, 3)).await;
    assert_eq!(bench.calls(), [r#"{"bar":"x"}"#]);
}

#[tokio::test]
async fn a_command_runs_once_and_every_copy_is_answered_with_the_same_outcome() {
    for (refuse, status) in [(false, Status::Done), (true, Status::Refused)] {
        let bench = bench(
            &[COMMAND],
            Role::Command,
            Recorder {
                refuse,
                ..Recorder::default()
            },
        );
        let id = SystemClock.new_uuid();
        for _ in 0..3 {
            bench.request(&command(message::Kind::Command, id)).await;
        }
        assert_eq!(bench.calls().len(), 1);
        assert_eq!(bench.replies().await, vec![(status, Some(id)); 3]);
    }
}

#[tokio::test]
async fn a_voided_command_never_runs_and_one_that_ran_is_not_voided() {
    let bench = bench(&[COMMAND], Role::Command, Recorder::default());
    let (early, late) = (SystemClock.new_uuid(), SystemClock.new_uuid());
    bench.request(&command(message::Kind::Void, early)).await;
    bench.request(&command(message::Kind::Command, early)).await;
    assert_eq!(bench.calls().len(), 0);
    bench.request(&command(message::Kind::Command, late)).await;
    bench.request(&command(message::Kind::Void, late)).await;
    assert_eq!(bench.calls().len(), 1);
    let told: Vec<_> = bench
        .replies()
        .await
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    assert_eq!(
        told,
        [Status::Voided, Status::Voided, Status::Done, Status::Done]
    );
}

#[tokio::test]
async fn a_command_beyond_help_is_parked_and_answered_failed_without_internals() {
    let recorder = Recorder::default();
    recorder.poison.lock().unwrap().insert("\"it\"".to_owned());
    let bench = bench(&[COMMAND], Role::Command, recorder);
    let id = SystemClock.new_uuid();
    for _ in 0..2 {
        bench.request(&command(message::Kind::Command, id)).await;
    }
    let letters = bench.letters("s").await;
    assert_eq!((letters.len(), letters[0].attempts), (1, 3));
    assert_eq!(bench.replies().await, vec![(Status::Failed, Some(id)); 2]);
    let outbox = bench.store.outbox(Position::START, 10).await.unwrap();
    assert_eq!(outbox[0].1.payload.as_str(), "\"internal error\"");
}

#[tokio::test]
async fn a_command_that_nobody_handles_is_parked_once() {
    let bench = bench(&[CREATED], Role::Command, Recorder::default());
    let message = command(message::Kind::Command, SystemClock.new_uuid());
    for _ in 0..2 {
        bench.request(&message).await;
    }
    assert_eq!(bench.parked().await, ["\"it\" nobody here handles it"]);
}
