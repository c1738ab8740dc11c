//! The machine against every interleaving of commands, executions, answers, timeouts, and voids.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::{
    flow::{Flow, LocalOutcome, Outgoing, StepEnd, StepInfo, Target, What},
    machine,
    run::{Run, StepStatus},
};
use super::{Env, Moved};

mod groups;
mod mail;
mod nested;
mod operate;
mod stuck;
mod time;
mod waits;
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

/// No saga is a step of another one.
static NONE: BTreeMap<&str, Arc<dyn Flow>> = BTreeMap::new();

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

/// Steps at participants (`A` is undone by `UndoA`, and so on), here, or that wait for a signal.
#[derive(Debug, Clone)]
struct TestFlow {
    name: &'static str,
    steps: Vec<StepInfo>,
    /// The saga as a whole is late from the start.
    late: bool,
    /// The step whose message cannot be made.
    broken: &'static str,
    /// What `on_success` says.
    verdict: Verdict,
    /// The step whose answer cannot be read.
    unread: &'static str,
    /// What `on_timeout` says.
    lapse: Verdict,
    /// The conditions that hold.
    holds: Vec<&'static str>,
}

fn target(name: &'static str) -> What {
    What::Remote(Target {
        kind: TargetKind::Command,
        name,
    })
}

/// What undoes a step.
fn undo(name: &str) -> &'static str {
    match name {
        "A" => "UndoA",
        "B" => "UndoB",
        _ => "UndoC",
    }
}

fn step(name: &'static str) -> StepInfo {
    StepInfo {
        name,
        what: target(name),
        compensation: Some(target(undo(name))),
        timeout: Some(Duration::from_secs(1)),
        retry: 0,
        pivot: false,
        on_timeout: false,
        backoff: None,
        max_backoff: None,
        when: None,
        choice: None,
        parallel: None,
    }
}

impl TestFlow {
    fn of(steps: impl IntoIterator<Item = StepInfo>) -> Self {
        Self {
            name: "Test",
            steps: steps.into_iter().collect(),
            late: false,
            broken: "",
            verdict: Verdict::Continue,
            unread: "",
            lapse: Verdict::Compensate,
            holds: Vec::new(),
        }
    }

    fn new(retry: u32, pivot: bool) -> Self {
        let mut steps = [step("A"), step("B")];
        steps.iter_mut().for_each(|s| s.retry = retry);
        steps[0].pivot = pivot;
        if pivot {
            steps[1].compensation = None;
        }
        Self::of(steps)
    }
}

impl Flow for TestFlow {
    fn name(&self) -> &'static str {
        self.name
    }

    fn deadline(&self) -> Option<Duration> {
        self.late.then_some(Duration::ZERO)
    }

    fn steps(&self) -> Vec<StepInfo> {
        self.steps.clone()
    }

    fn request(&self, step: usize, undo: bool, state: &Payload) -> Result<Outgoing> {
        let step = &self.steps[step];
        let what = if undo {
            step.compensation.unwrap()
        } else {
            step.what
        };
        if self.broken == step.name {
            return Err(Error::new(error::Kind::Invalid, "it cannot be made"));
        }
        let What::Remote(Target { kind, name }) = what else {
            panic!("{step:?} sends nothing");
        };
        Ok(Outgoing {
            kind,
            name,
            payload: state.clone(),
        })
    }

    fn read(&self, at: usize, outcome: &Outcome, state: &Payload) -> Result<(Verdict, Payload)> {
        if self.unread == self.steps[at].name {
            return Err(Error::new(error::Kind::Invalid, "it cannot be read"));
        }
        let done = outcome.status == Status::Done;
        let verdict = if done {
            self.verdict
        } else {
            Verdict::Compensate
        };
        Ok((verdict, state.clone()))
    }

    fn holds(&self, step: usize, _: &Payload) -> Result<bool> {
        let when = self.steps[step].when;
        Ok(when.is_none_or(|when| self.holds.contains(&when)))
    }

    fn signal(&self, _: usize, content: &Payload, _: &Payload) -> Result<(Verdict, Payload)> {
        match content.as_str() {
            "\"no\"" => Ok((Verdict::Compensate, content.clone())),
            "\"odd\"" => Err(Error::new(error::Kind::Invalid, "it cannot be read")),
            _ => Ok((Verdict::Continue, content.clone())),
        }
    }

    fn lapse(&self, _: usize, state: &Payload) -> Result<(Verdict, Payload)> {
        Ok((self.lapse, state.clone()))
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
    /// What will be signalled.
    signals: Vec<&'static str>,
    /// Somebody may cancel it.
    cancels: bool,
}

impl World {
    /// What tells it from others.
    fn key(&self) -> String {
        anonymous(&self.text())
    }

    fn text(&self) -> String {
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
            "{} {:?} {:?} {flying:?} {:?} {:?} {} {} {:?} {}",
            self.row.status,
            self.row.body,
            self.row.due_at,
            self.inbox,
            self.effects,
            self.timeouts,
            self.copies,
            self.signals,
            self.cancels
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
            owner: Uuid::nil(),
            sagas: &NONE,
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

    /// Runs the local step that is due, if there is one.
    fn local(&mut self, flow: &TestFlow, refuses: &BTreeSet<&str>) -> bool {
        let run = Run::of(&self.row).unwrap();
        let Some(due) = machine::local_step(flow, &run, DateTime::UNIX_EPOCH) else {
            return false;
        };
        let name = flow.steps[due.step].name;
        let name = if due.undo { undo(name) } else { name };
        let end = if refuses.contains(name) {
            StepEnd::Failed(error::Failure::new(error::Kind::Invalid, "no"))
        } else {
            *self.effects.entry(name.to_owned()).or_default() += 1;
            StepEnd::Done
        };
        let state = run.state;
        let outcome = LocalOutcome { end, state };
        self.moves(|env, row| machine::local(flow, row, due.command, outcome, env));
        true
    }

    /// One execution is due, or the whole.
    fn due(&mut self, flow: &TestFlow, command: Option<Uuid>, unsent: Option<DateTime<Utc>>) {
        let (now, later) = (DateTime::UNIX_EPOCH, Duration::from_secs(1));
        let mut run = Run::of(&self.row).unwrap();
        for execution in &mut run.executions {
            let due = command.is_none_or(|c| c == execution.command);
            execution.due_at = execution
                .due_at
                .map(|_| if due { now } else { now + later });
        }
        self.row.body = run.body().unwrap();
        self.moves(|env, row| machine::due(flow, row, unsent, env));
    }

    fn ended(&self) -> bool {
        ["completed", "compensated", "stuck"].contains(&self.row.status.as_str())
    }

    fn effect(&self, name: &str) -> i32 {
        self.effects.get(name).copied().unwrap_or_default()
    }
}

/// Which ids were taken tells no state from another; which of them are the same does.
fn anonymous(text: &str) -> String {
    const PREFIX: &str = "00000000-0000-0000-0000-";
    let mut known = Vec::new();
    let mut parts = text.split(PREFIX);
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (id, rest) = part.split_at(12);
        let place = known.iter().position(|k| *k == id).unwrap_or_else(|| {
            known.push(id);
            known.len() - 1
        });
        key.push_str(&format!("#{place}{rest}"));
    }
    key
}

/// Walks through every interleaving; answers the ends that were reached, each checked, and the number of states.
fn explore(
    flow: &TestFlow,
    refuses: &[&str],
    timeouts: u32,
    copies: u32,
) -> (BTreeSet<String>, usize) {
    explore_with(flow, refuses, (timeouts, copies), &[], false)
}

/// The same, with signals that may come at any time, in their order, and somebody who may cancel it.
fn explore_with(
    flow: &TestFlow,
    refuses: &[&str],
    (timeouts, copies): (u32, u32),
    signals: &[&'static str],
    cancels: bool,
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
        owner: Uuid::nil(),
        sagas: &NONE,
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
        signals: signals.to_vec(),
        cancels,
    };
    let (mut seen, mut todo, mut ends) = (HashSet::new(), vec![world], BTreeSet::new());
    while let Some(world) = todo.pop() {
        if !seen.insert(world.key()) {
            continue;
        }
        if world.flying.is_empty() && world.ended() {
            check(flow, &world);
            ends.insert(world.row.status.clone());
            continue;
        }
        let before = todo.len();
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
        if let Some((name, rest)) = world.signals.split_first() {
            let mut next = world.clone();
            next.signals = rest.to_vec();
            let content = Payload::encode(name).unwrap();
            next.moves(|env, row| {
                machine::signal(flow, row, ("Signal", &content), None, env).map(|(moved, _)| moved)
            });
            todo.push(next);
        }
        let running = ["running", "compensating"].contains(&world.row.status.as_str());
        if world.cancels && running {
            let mut next = world.clone();
            next.cancels = false;
            let (wish, by) = (machine::Wish::Cancel, operate::ALICE);
            next.moves(|env, row| {
                match machine::operate(flow, row.clone(), wish, by, env) {
                    // It is undone already, or past its pivot: nothing happens.
                    Err(_) => machine::reply(flow, row, Uuid::nil(), &nothing(), env),
                    moved => moved,
                }
            });
            todo.push(next);
        }
        let mut next = world.clone();
        let local = next.local(flow, &refuses);
        if local {
            todo.push(next);
        }
        // Time passes while something is under way, or because nothing is.
        let forced = world.flying.is_empty() && world.signals.is_empty() && !local;
        if world.row.due_at.is_some() && (world.timeouts > 0 || forced) {
            let run = Run::of(&world.row).unwrap();
            let due = run.executions.iter().filter(|e| e.due_at.is_some());
            // Each by itself, or all at once.
            for command in due.map(|e| Some(e.command)).chain([None]) {
                let mut next = world.clone();
                next.timeouts = next.timeouts.saturating_sub(1);
                if !forced {
                    // Its latest message has not left yet; what it means must not depend on whether that is so.
                    let mut held = next.clone();
                    held.due(flow, command, Some(DateTime::UNIX_EPOCH));
                    todo.push(held);
                }
                next.due(flow, command, None);
                todo.push(next);
            }
        }
        assert!(todo.len() > before, "it never ends: {world:#?}");
    }
    (ends, seen.len())
}

fn check(flow: &TestFlow, world: &World) {
    let run = Run::of(&world.row).unwrap();
    for step in &flow.steps {
        let (name, back) = (step.name, undo(step.name));
        let (did, undid) = (world.effect(name), world.effect(back));
        assert!(did <= 1, "{name} took effect {did} times: {world:#?}");
        assert!(undid <= did, "{back} took effect {undid} times: {world:#?}");
        let left = match step.what {
            What::Wait(_) => continue,
            _ => did - undid,
        };
        let passed = [StepStatus::Skipped, StepStatus::Lapsed].map(Some);
        let passed = passed.contains(&run.status(name));
        match world.row.status.as_str() {
            "completed" if passed => assert_eq!(left, 0, "{name}: {world:#?}"),
            "completed" => assert_eq!(left, 1, "{name}: {world:#?}"),
            "compensated" => assert_eq!(left, 0, "{name}: {world:#?}"),
            _ => assert!(run.halt.is_some(), "{world:#?}"),
        }
    }
    if world.row.status != "stuck" {
        assert!(run.executions.is_empty(), "{world:#?}");
    }
}

fn nothing() -> Outcome {
    Outcome {
        status: Status::Done,
        payload: Payload::null(),
    }
}

fn env(clock: &dyn Clock) -> Env<'_> {
    Env {
        now: clock.now(),
        clock,
        headers: Headers {
            source: "s".into(),
            ..Headers::default()
        },
        owner: Uuid::nil(),
        sagas: &NONE,
    }
}

fn names(moved: &Moved) -> Vec<&str> {
    moved.messages.iter().map(|m| m.name.as_str()).collect()
}

/// The answer to what a step is waiting for.
fn answer(flow: &dyn Flow, row: SagaRow, step: &str, status: Status, env: &Env<'_>) -> Moved {
    let run = Run::of(&row).unwrap();
    let execution = run.executions.iter().find(|e| e.step == step);
    let command = execution.unwrap().command;
    let outcome = Outcome {
        status,
        payload: Payload::null(),
    };
    machine::reply(flow, row, command, &outcome, env).unwrap()
}

fn ends(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn every_interleaving_of_two_steps_ends_with_an_effect_exactly_if_completed() {
    let (ends, states) = explore(&TestFlow::new(1, false), &[], 2, 1);
    assert_eq!(
        ends,
        BTreeSet::from(["completed".to_owned(), "compensated".to_owned()])
    );
    assert!(states > 900, "only {states} states");
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
        owner: Uuid::nil(),
        sagas: &NONE,
    };
    let attempts = |row: &SagaRow| Run::of(row).unwrap().executions[0].attempt;
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
            broken: "B",
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
