//! Sagas that are started by key, signalled, and started by each other.

use chrono::{DateTime, Utc};

use super::*;
use crate::{
    context::{Job, Origin as From, Work, run},
    runtime::{Decision, Sagas, sagas::drive},
    saga::{
        Flow, Saga, SagaId,
        run::{Run, Status as Where},
        toy::{self, Circle, Decided, House, Loan, Lost, Street},
    },
    store::{SagaFilter, SagaRow},
};

/// The first event of a foo starts its loan, each later one signals it.
#[derive(Debug)]
struct Reacts;

impl Dispatch for Reacts {
    fn call<'a>(&'a self, route: usize, cx: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let foo = raw.event.as_ref().unwrap().uuid;
            let done = match route {
                0 => cx.start_once(foo, Loan::default()).await.map(drop),
                _ => {
                    let text = "yes".to_owned();
                    cx.signal(SagaId::of::<Loan>(foo), Decided { text })
                }
            };
            match done {
                Ok(()) => Answer::Done {
                    status: 204,
                    body: None,
                },
                Err(e) => Answer::Failed(e.into_failure()),
            }
        })
    }
}

/// One service with sagas; the broker is the test.
pub(super) struct Town {
    pub(super) handler: Handler,
    pub(super) store: Arc<memory::Store>,
    pub(super) sent: Position,
}

impl Town {
    pub(super) fn new() -> Self {
        let bench = bench(&[CREATED, UPDATED], Role::Command, Recorder::default());
        let core = with_sagas(bench.store.clone(), toy::sagas());
        let handlers = Handlers {
            dispatch: Arc::new(Reacts),
            ..bench.handler.handlers[0].clone()
        };
        Self {
            handler: Handler {
                core,
                handlers: Arc::new(vec![handlers]),
                ..bench.handler
            },
            store: bench.store,
            sent: Position::START,
        }
    }

    /// Another build of the service, beside this one.
    pub(super) fn build(&self, sagas: BTreeMap<&'static str, Arc<dyn Flow>>) -> Handler {
        Handler {
            core: with_sagas(self.store.clone(), sagas),
            ..self.handler.clone()
        }
    }

    /// Starts a saga as a handler does.
    pub(super) async fn start<S: Saga>(&self, state: S) -> Uuid {
        let starts = Starts(None, state);
        run(&self.handler.core, job(), &starts, |_, _| true)
            .await
            .unwrap();
        let all = SagaFilter {
            name: Some(S::NAME.to_owned()),
            limit: 100,
            ..SagaFilter::default()
        };
        self.store.sagas(&all).await.unwrap().last().unwrap().id
    }

    /// Brings what is sent to the sagas, and runs what is due, until nothing moves any more. Everything comes twice.
    pub(super) async fn settle(&mut self) {
        let own = self.handler.clone();
        self.settle_beside(&own).await;
    }

    /// The same beside another build, which is always faster.
    pub(super) async fn settle_beside(&mut self, other: &Handler) {
        loop {
            let sent = self.store.outbox(self.sent, 100).await.unwrap();
            for (position, message) in &sent {
                self.sent = *position;
                if message.topic == "s.replies" {
                    for _ in 0..2 {
                        let origin = Some(&PLACE);
                        let incoming = Incoming { message, origin };
                        other.deliver(incoming).await.unwrap();
                    }
                }
            }
            let now = SystemClock.now();
            let due = self.store.due_sagas(now, 100).await.unwrap();
            if sent.is_empty() && due.is_empty() {
                return;
            }
            for row in due {
                drive(&other.core, row.clone(), false).await.unwrap();
                // If that was left alone, this is the one that has moved it.
                drive(&self.handler.core, row, false).await.unwrap();
            }
        }
    }

    pub(super) async fn row(&self, id: Uuid) -> SagaRow {
        self.store.saga(id).await.unwrap().unwrap()
    }

    pub(super) async fn status(&self, id: Uuid) -> Where {
        Where::of(&self.row(id).await).unwrap()
    }

    pub(super) async fn state<S: Saga>(&self, id: Uuid) -> S {
        let run = Run::of(&self.row(id).await).unwrap();
        run.state.decode().unwrap()
    }

    /// The saga that a step started.
    pub(super) async fn child(&self, id: Uuid) -> Uuid {
        let run = Run::of(&self.row(id).await).unwrap();
        run.executions[0].command
    }

    pub(super) async fn event(&self, foo: u128, version: u64) {
        let message = event(foo, version);
        let origin = Some(&PLACE);
        let incoming = Incoming {
            message: &message,
            origin,
        };
        for _ in 0..2 {
            let handlers = &self.handler.handlers[0];
            self.handler.event(handlers, incoming).await.unwrap();
        }
    }

    pub(super) fn desk(&self) -> Sagas {
        Sagas::new(self.handler.core.clone())
    }

    pub(super) async fn signal(&self, id: Uuid, text: &str) {
        let text = text.to_owned();
        let content = Payload::encode(&Decided { text }).unwrap();
        let desk = self.desk();
        desk.signal(id, "Decided", &content, &alice())
            .await
            .unwrap();
    }
}

pub(super) fn alice() -> Decision {
    Decision::by("alice").because("a test")
}

fn job() -> Job {
    Job {
        role: Role::Command,
        origin: From::default(),
    }
}

/// Starts a saga, by key if there is one.
struct Starts<S>(Option<&'static str>, S);

impl<S: Saga> Work for Starts<S> {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let state = self.1.clone();
            match self.0 {
                Some(key) => {
                    let id = cx.start_once(key, state.clone()).await.unwrap();
                    // Once more in the same unit of work.
                    assert_eq!(cx.start_once(key, state).await.unwrap().0, id.0);
                    assert_eq!(id.0, SagaId::of::<S>(key));
                }
                None => drop(cx.start(state).unwrap()),
            }
            Answer::Done {
                status: 204,
                body: None,
            }
        })
    }
}

#[tokio::test]
async fn an_event_starts_a_saga_once_and_a_later_one_signals_it() {
    let mut town = Town::new();
    town.event(1, 1).await;
    let id = SagaId::of::<Loan>(Uuid::from_u128(1)).saga;
    town.settle().await;
    assert_eq!(town.status(id).await, Where::Running);
    town.event(1, 2).await;
    town.settle().await;
    assert_eq!(town.status(id).await, Where::Completed);
    let loan: Loan = town.state(id).await;
    assert_eq!(loan.decision.as_deref(), Some("yes"));
    // What comes after the end is noted, and nothing else.
    town.event(1, 3).await;
    town.settle().await;
    assert_eq!(town.status(id).await, Where::Completed);
    let lines = town.store.saga_history(id, 1).await.unwrap();
    assert!(lines[0].as_str().contains("nobody waits for"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_start_a_saga_by_one_key_one_does() {
    let town = Town::new();
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let core = town.handler.core.clone();
            tokio::spawn(async move {
                let starts = Starts(Some("key"), Loan::default());
                run(&core, job(), &starts, |_, _| true).await.map(drop)
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let filter = SagaFilter {
        limit: 100,
        ..SagaFilter::default()
    };
    let all = town.store.sagas(&filter).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].version, 1);
    let other = SagaId::of::<House>("key");
    assert_ne!(other.saga, all[0].id);
}

#[tokio::test]
async fn a_saga_that_is_a_step_is_waited_for_and_its_state_is_the_reply() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.settle().await;
    assert_eq!(town.status(house).await, Where::Running);
    town.signal(loan, "yes").await;
    town.settle().await;
    assert_eq!(town.status(loan).await, Where::Completed);
    assert_eq!(town.status(house).await, Where::Completed);
    let state: House = town.state(house).await;
    assert!(state.loan.unwrap().noted);
}

#[tokio::test]
async fn a_saga_that_is_a_step_and_is_undone_undoes_the_one_around_it() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.signal(loan, "no").await;
    town.settle().await;
    assert_eq!(town.status(loan).await, Where::Compensated);
    assert_eq!(town.status(house).await, Where::Compensated);
    let state: House = town.state(house).await;
    assert!(!state.returned);
}

#[tokio::test]
async fn a_step_that_fails_after_a_nested_saga_undoes_what_that_did() {
    let mut town = Town::new();
    let fails = true;
    let house = town
        .start(House {
            fails,
            ..House::default()
        })
        .await;
    let loan = town.child(house).await;
    town.signal(loan, "yes").await;
    town.settle().await;
    assert_eq!(town.status(loan).await, Where::Completed);
    assert_eq!(town.status(house).await, Where::Compensated);
    let state: House = town.state(house).await;
    assert!(state.returned);
}

#[tokio::test]
async fn cancelling_a_saga_calls_off_the_one_that_is_its_step() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.desk().cancel(house, &alice()).await.unwrap();
    assert_eq!(town.status(house).await, Where::Running);
    town.settle().await;
    assert_eq!(town.status(loan).await, Where::Compensated);
    assert_eq!(town.status(house).await, Where::Compensated);
    let run = Run::of(&town.row(loan).await).unwrap();
    assert_eq!(run.error.unwrap().kind, "voided");
    let state: House = town.state(house).await;
    assert!(!state.returned);
}

#[tokio::test]
async fn a_step_that_ended_before_it_could_be_called_off_is_undone() {
    let mut town = Town::new();
    let house = town.start(House::default()).await;
    let loan = town.child(house).await;
    town.signal(loan, "yes").await;
    let row = town.row(loan).await;
    drive(&town.handler.core, row, false).await.unwrap();
    assert_eq!(town.status(loan).await, Where::Completed);
    // Its answer is on its way.
    town.desk().cancel(house, &alice()).await.unwrap();
    town.settle().await;
    assert_eq!(town.status(house).await, Where::Compensated);
    let state: House = town.state(house).await;
    assert!(state.returned && state.loan.is_some());
}

#[tokio::test]
async fn a_saga_that_nobody_has_and_one_that_starts_itself_leave_it_stuck() {
    let mut town = Town::new();
    let lost = town.start(Lost {}).await;
    town.settle().await;
    assert_eq!(town.status(lost).await, Where::Stuck);
    let why = Run::of(&town.row(lost).await).unwrap().halt.unwrap().why;
    assert!(why.text.contains("no saga `Nobody`"), "{}", why.text);

    town.start(Circle {}).await;
    town.settle().await;
    let filter = SagaFilter {
        name: Some("Circle".to_owned()),
        limit: 100,
        ..SagaFilter::default()
    };
    let all = town.store.sagas(&filter).await.unwrap();
    assert_eq!(all.len(), 17);
    let stuck = all.iter().filter(|r| r.status == "stuck").count();
    assert_eq!(stuck, 1);
}

#[tokio::test]
async fn a_saga_waits_while_its_step_is_stuck_and_goes_on_once_that_does() {
    let mut town = Town::new();
    let street = town.start(Street {}).await;
    let lost = town.child(street).await;
    town.settle().await;
    assert_eq!(town.status(lost).await, Where::Stuck);
    assert_eq!(town.status(street).await, Where::Running);
    let shown = town.desk().show(street).await.unwrap();
    let wait = &shown.timeline.unwrap().waits[0];
    assert_eq!((wait.of.as_deref(), wait.until), (Some("Lost"), None));
    town.desk().skip(lost, None, &alice()).await.unwrap();
    town.settle().await;
    assert_eq!(town.status(lost).await, Where::Completed);
    assert_eq!(town.status(street).await, Where::Completed);
}

#[tokio::test]
async fn a_saga_that_moved_very_often_shows_how_it_began_and_what_came_last() {
    let town = Town::new();
    let lost = town.start(Lost {}).await;
    let row = town.row(lost).await;
    drive(&town.handler.core, row, false).await.unwrap();
    let mut times = 0;
    let shown = loop {
        let decision = Decision::by("alice").because(format!("time {times}"));
        town.desk().retry(lost, &decision).await.unwrap();
        times += 1;
        let shown = town.desk().show(lost).await.unwrap();
        if shown.timeline.as_ref().unwrap().left_out >= 10 || times > 1000 {
            break shown;
        }
    };
    let lines: Vec<_> = shown.history.iter().map(Payload::as_str).collect();
    let left_out = shown.timeline.unwrap().left_out;
    let gap = lines.iter().position(|l| l.contains("left out")).unwrap();
    assert!(
        lines[gap].contains(&format!("\"lines\":{left_out}")),
        "{}",
        lines[gap]
    );
    let decided = |l: &&&str| l.contains("\"by\"");
    assert_eq!(lines[gap + 1..].iter().filter(|l| !decided(l)).count(), 100);
    // Each decision is where it was made.
    let last = format!("\"time {}\"", times - 1);
    let place = lines.iter().position(|l| l.contains(&last)).unwrap();
    assert!(place > gap + 50, "{lines:?}");
    let at = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let at: DateTime<Utc> = line["at"].as_str().unwrap().parse().unwrap();
        at
    };
    assert!(lines[gap + 1..].is_sorted_by_key(|l| at(l)));
    assert!(lines[..gap].is_sorted_by_key(|l| at(l)));
    let stored = town.store.saga_history(lost, 10_000).await.unwrap();
    assert!(
        stored[0].as_str().contains("started"),
        "{}",
        stored[0].as_str()
    );
    assert!(stored.len() < 2000, "{}", stored.len());
    let stored: Vec<_> = stored.iter().map(Payload::as_str).collect();
    assert_eq!(stored.iter().filter(decided).count(), times);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_that_all_see_a_step_due_run_it_to_one_effect() {
    let town = Town::new();
    let loan = town.start(Loan::default()).await;
    town.signal(loan, "yes").await;
    let row = town.row(loan).await;
    assert_eq!(row.status, "running");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (core, row) = (town.handler.core.clone(), row.clone());
            tokio::spawn(async move { drive(&core, row, false).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let after = town.row(loan).await;
    assert_eq!(
        (after.status.as_str(), after.version),
        ("completed", row.version + 1)
    );
}

#[tokio::test]
async fn a_local_step_that_follows_is_at_hand_once_it_is_committed() {
    let town = Town::new();
    let core = &town.handler.core;
    let id = town.start(Loan::default()).await;
    assert!(core.soon.take().is_empty());
    town.signal(id, "yes").await;
    let (_, row) = core.soon.take().pop_front().unwrap();
    assert_eq!(row, town.row(id).await);
    drive(core, row, false).await.unwrap();
    assert_eq!(town.status(id).await, Where::Completed);
    assert!(core.soon.take().is_empty());
}
