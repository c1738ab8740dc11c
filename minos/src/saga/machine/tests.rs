//! The machine against every interleaving of commands, executions, answers, timeouts, and voids.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::{
    flow::{Flow, LocalOutcome, Outgoing, StepEnd, StepInfo, Target, What},
    machine,
    run::{Run, Waiting},
};
use super::{Env, Moved};
use crate::{
    clock::Clock,
    context::Context,
    enroute::BoxFuture,
    error::{self, Error, Result},
    message::{Headers, Kind, Message, Outcome, Status},
    payload::Payload,
    saga::{TargetKind, Verdict},
    store::SagaRow,
};

/// Ids that depend on nothing but how many were taken before.
#[derive(Debug)]
struct Ids(AtomicU64);

impl Clock for Ids {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::from_u128(self.0.fetch_add(1, Ordering::Relaxed).into())
    }

    fn chance(&self) -> f64 {
        0.0
    }
}

/// `A` and `B` at participants, each undone by `UndoA` and `UndoB`, and a local step if wanted.
#[derive(Debug)]
struct TestFlow {
    steps: Vec<StepInfo>,
    /// The saga as a whole is late from the start.
    late: bool,
    /// `B`'s message cannot be made.
    broken: bool,
    /// What `on_success` says.
    verdict: Verdict,
}

const NAMES: [(&str, &str); 2] = [("A", "UndoA"), ("B", "UndoB")];

impl TestFlow {
    fn new(retry: u32, pivot: bool) -> Self {
        let target = |name| Target {
            kind: TargetKind::Command,
            name,
        };
        let step = |name| StepInfo {
            name,
            what: What::Remote(target(name)),
            compensation: Some(What::Remote(target("undo"))),
            timeout: Some(Duration::from_secs(1)),
            retry,
            pivot: false,
            on_timeout: false,
            backoff: None,
            max_backoff: None,
            when: None,
            choice: None,
            parallel: None,
        };
        let mut steps = vec![step("A"), step("B")];
        steps[0].pivot = pivot;
        if pivot {
            steps[1].compensation = None;
        }
        Self {
            steps,
            late: false,
            broken: false,
            verdict: Verdict::Continue,
        }
    }
}

impl Flow for TestFlow {
    fn name(&self) -> &'static str {
        "Test"
    }

    fn deadline(&self) -> Option<Duration> {
        self.late.then_some(Duration::ZERO)
    }

    fn steps(&self) -> Vec<StepInfo> {
        self.steps.clone()
    }

    fn request(&self, step: usize, undo: bool, state: &Payload) -> Result<Outgoing> {
        let (run, back) = NAMES[step];
        if self.broken && run == "B" {
            return Err(Error::new(error::Kind::Invalid, "it cannot be made"));
        }
        let name = if undo { back } else { run };
        Ok(Outgoing {
            kind: TargetKind::Command,
            name,
            payload: state.clone(),
        })
    }

    fn read(&self, _: usize, outcome: &Outcome, state: &Payload) -> Result<(Verdict, Payload)> {
        let done = outcome.status == Status::Done;
        let verdict = if done {
            self.verdict
        } else {
            Verdict::Compensate
        };
        Ok((verdict, state.clone()))
    }

    fn holds(&self, _: usize, _: &Payload) -> Result<bool> {
        Ok(true)
    }

    fn signal(&self, _: usize, _: &Payload, state: &Payload) -> Result<(Verdict, Payload)> {
        Ok((self.verdict, state.clone()))
    }

    fn lapse(&self, _: usize, state: &Payload) -> Result<(Verdict, Payload)> {
        Ok((Verdict::Compensate, state.clone()))
    }

    fn run<'a>(
        &'a self,
        _: usize,
        _: bool,
        state: &'a Payload,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<LocalOutcome>> {
        Box::pin(async move {
            Ok(LocalOutcome {
                end: StepEnd::Done,
                state: state.clone(),
            })
        })
    }
}

/// Saga, participant, and what is between them.
#[derive(Debug, Clone)]
struct World {
    row: SagaRow,
    ids: u64,
    flying: Vec<Message>,
    /// The participant's inbox.
    inbox: BTreeMap<Uuid, Outcome>,
    /// How often each command took effect.
    effects: BTreeMap<String, i32>,
    timeouts: u32,
    copies: u32,
}

impl World {
    fn key(&self) -> String {
        let mut flying: Vec<_> = self
            .flying
            .iter()
            .map(|m| {
                format!(
                    "{:?} {} {:?} {:?}",
                    m.kind, m.name, m.headers.command, m.headers.status
                )
            })
            .collect();
        flying.sort();
        format!(
            "{} {:?} {:?} {flying:?} {:?} {:?} {} {}",
            self.row.status,
            self.row.body,
            self.row.due_at,
            self.inbox,
            self.effects,
            self.timeouts,
            self.copies
        )
    }

    fn moves(&mut self, transition: impl FnOnce(&Env<'_>, SagaRow) -> Result<Moved>) {
        let clock = Ids(AtomicU64::new(self.ids));
        let env = Env {
            now: clock.now(),
            clock: &clock,
            headers: Headers {
                source: "s".into(),
                ..Headers::default()
            },
        };
        let moved = transition(&env, self.row.clone()).unwrap();
        self.row = moved.row;
        self.flying.extend(moved.messages);
        self.ids = clock.0.load(Ordering::Relaxed);
    }

    /// The participant's framework: inbox first, then the handler, then the answer.
    fn participant(&mut self, message: &Message, refuses: &BTreeSet<&str>) {
        let command = message.command_id();
        let outcome = self.inbox.get(&command).cloned().unwrap_or_else(|| {
            let status = match message.kind {
                Kind::Void => Status::Voided,
                _ if refuses.contains(message.name.as_str()) => Status::Refused,
                _ => {
                    *self.effects.entry(message.name.clone()).or_default() += 1;
                    Status::Done
                }
            };
            Outcome {
                status,
                payload: Payload::null(),
            }
        });
        self.inbox.insert(command, outcome.clone());
        let headers = Headers {
            command: Some(command),
            status: Some(outcome.status),
            ..message.headers.clone()
        };
        let id = Uuid::from_u128(u128::from(self.ids));
        self.ids += 1;
        self.flying.push(Message {
            id,
            kind: Kind::Reply,
            headers,
            ..message.clone()
        });
    }

    fn deliver(&mut self, flow: &TestFlow, message: &Message, refuses: &BTreeSet<&str>) {
        if message.kind != Kind::Reply {
            return self.participant(message, refuses);
        }
        let (command, status) = (
            message.headers.command.unwrap(),
            message.headers.status.unwrap(),
        );
        let outcome = Outcome {
            status,
            payload: Payload::null(),
        };
        self.moves(|env, row| machine::reply(flow, row, command, &outcome, env));
    }

    fn ended(&self) -> bool {
        ["completed", "compensated", "stuck"].contains(&self.row.status.as_str())
    }

    fn effect(&self, name: &str) -> i32 {
        self.effects.get(name).copied().unwrap_or_default()
    }
}

/// Walks through every interleaving; answers the ends that were reached, each checked.
fn explore(
    flow: &TestFlow,
    refuses: &[&str],
    timeouts: u32,
    copies: u32,
) -> (BTreeSet<String>, usize) {
    let refuses: BTreeSet<&str> = refuses.iter().copied().collect();
    let clock = Ids(AtomicU64::new(1000));
    let env = Env {
        now: clock.now(),
        clock: &clock,
        headers: Headers {
            source: "s".into(),
            ..Headers::default()
        },
    };
    let moved = machine::start(flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let world = World {
        row: moved.row,
        ids: clock.0.load(Ordering::Relaxed),
        flying: moved.messages,
        inbox: BTreeMap::new(),
        effects: BTreeMap::new(),
        timeouts,
        copies,
    };
    let (mut seen, mut todo, mut ends) = (HashSet::new(), vec![world], BTreeSet::new());
    while let Some(world) = todo.pop() {
        if !seen.insert(world.key()) {
            continue;
        }
        if world.flying.is_empty() && world.ended() {
            check(&world);
            ends.insert(world.row.status.clone());
            continue;
        }
        for i in 0..world.flying.len() {
            let mut next = world.clone();
            let message = next.flying.remove(i);
            next.deliver(flow, &message, &refuses);
            todo.push(next.clone());
            if next.copies > 0 {
                next.copies -= 1;
                next.flying.push(message);
                todo.push(next);
            }
        }
        // Time passes while something is under way, or because nothing is.
        let forced = world.flying.is_empty();
        if world.row.due_at.is_some() && (world.timeouts > 0 || forced) {
            let mut next = world.clone();
            next.timeouts = next.timeouts.saturating_sub(1);
            if !forced {
                // Its latest message has not left yet; what it means must not depend on whether that is so.
                let (mut held, now) = (next.clone(), DateTime::UNIX_EPOCH);
                held.moves(|env, row| machine::due(flow, row, Some(now), env));
                todo.push(held);
            }
            next.moves(|env, row| machine::due(flow, row, None, env));
            todo.push(next);
        }
    }
    (ends, seen.len())
}

fn check(world: &World) {
    for (run, back) in NAMES {
        let (did, undid) = (world.effect(run), world.effect(back));
        let left = did - undid;
        assert!(
            did <= 1 || undid > 0,
            "{run} took effect {did} times: {world:#?}"
        );
        match world.row.status.as_str() {
            "completed" => assert_eq!(left, 1, "{run}: {world:#?}"),
            "compensated" => assert_eq!(left, 0, "{run}: {world:#?}"),
            _ => {}
        }
    }
    let run = Run::of(&world.row).unwrap();
    assert!(
        run.execution.is_none_or(|e| e.waiting != Waiting::Local),
        "{world:#?}"
    );
}

#[test]
fn every_interleaving_of_two_steps_ends_with_an_effect_exactly_if_completed() {
    let (ends, states) = explore(&TestFlow::new(1, false), &[], 2, 1);
    assert_eq!(
        ends,
        BTreeSet::from(["completed".to_owned(), "compensated".to_owned()])
    );
    assert!(states > 1000, "only {states} states");
    println!("{states} states");
}

#[test]
fn what_has_not_left_is_not_sent_again_and_has_its_time_once_it_left() {
    let flow = TestFlow::new(1, false);
    let at = |s: i64| DateTime::from_timestamp(s, 0).unwrap();
    let clock = Ids(AtomicU64::new(1000));
    let env = |s: i64| Env {
        now: at(s),
        clock: &clock,
        headers: Headers {
            source: "s".into(),
            ..Headers::default()
        },
    };
    let attempts = |row: &SagaRow| Run::of(row).unwrap().execution.unwrap().attempt;
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env(10)).unwrap();
    assert_eq!(moved.messages.len(), 1);
    let mut row = moved.row;
    // Its broker is away for a minute: nothing is sent, and no attempt is used up.
    for now in 11..70 {
        let moved = machine::due(&flow, row, Some(at(9)), &env(now)).unwrap();
        assert_eq!(moved.messages.len(), 0);
        assert_eq!(moved.history.len(), usize::from(now == 11));
        row = moved.row;
        assert_eq!((attempts(&row), row.due_at), (1, Some(at(now + 1))));
    }
    // It left; what came after it did not.
    let moved = machine::due(&flow, row, Some(at(11)), &env(70)).unwrap();
    assert_eq!((moved.messages.len(), moved.row.due_at), (0, Some(at(71))));
    let moved = machine::due(&flow, moved.row, Some(at(11)), &env(71)).unwrap();
    assert_eq!((moved.messages.len(), attempts(&moved.row)), (1, 2));
    // The same for the question whether it ran.
    let moved = machine::due(&flow, moved.row, None, &env(80)).unwrap();
    assert_eq!(moved.messages[0].kind, Kind::Void);
    let moved = machine::due(&flow, moved.row, Some(at(80)), &env(81)).unwrap();
    assert_eq!((moved.messages.len(), attempts(&moved.row)), (0, 1));
}

#[test]
fn every_interleaving_of_a_refused_second_step_ends_compensated() {
    let (ends, states) = explore(&TestFlow::new(0, false), &["B"], 2, 1);
    assert_eq!(ends, BTreeSet::from(["compensated".to_owned()]));
    assert!(states > 300, "only {states} states");
}

#[test]
fn after_the_pivot_every_interleaving_goes_forward() {
    let (ends, _) = explore(&TestFlow::new(1, true), &[], 2, 1);
    assert!(ends.contains("completed"));
    assert!(!ends.contains("stuck"));
}

#[test]
fn a_step_after_the_pivot_that_is_always_refused_leaves_the_saga_stuck() {
    let (ends, _) = explore(&TestFlow::new(0, true), &["B"], 0, 0);
    assert_eq!(ends, BTreeSet::from(["stuck".to_owned()]));
}

#[test]
fn a_compensation_that_is_always_refused_leaves_the_saga_stuck() {
    let (ends, _) = explore(&TestFlow::new(0, false), &["B", "UndoA"], 0, 0);
    assert_eq!(ends, BTreeSet::from(["stuck".to_owned()]));
}

#[test]
fn a_saga_that_is_late_is_undone_only_after_its_unknown_step_is_resolved() {
    let flow = TestFlow {
        late: true,
        ..TestFlow::new(0, false)
    };
    let (ends, _) = explore(&flow, &[], 2, 1);
    assert!(
        ends.contains("compensated") && !ends.contains("stuck"),
        "{ends:?}"
    );
}

#[test]
fn a_message_that_cannot_be_made_undoes_or_after_the_pivot_leaves_the_saga_stuck() {
    for (pivot, end) in [(false, "compensated"), (true, "stuck")] {
        let flow = TestFlow {
            broken: true,
            ..TestFlow::new(1, pivot)
        };
        let (ends, _) = explore(&flow, &[], 1, 1);
        assert_eq!(ends, BTreeSet::from([end.to_owned()]));
    }
}

#[test]
fn a_command_that_ran_is_not_run_again_because_on_success_says_so() {
    let flow = TestFlow {
        verdict: Verdict::Retry,
        ..TestFlow::new(3, false)
    };
    let (ends, _) = explore(&flow, &[], 1, 1);
    assert_eq!(ends, BTreeSet::from(["compensated".to_owned()]));
}
