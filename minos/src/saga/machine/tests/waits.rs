//! Steps that wait for a signal.

use super::{operate::ALICE, *};
use crate::saga::machine::Wish;

/// `A`, then a person's decision, then `B`.
pub(super) fn loan(timeout: Option<Duration>) -> TestFlow {
    let mut wait = step("decided");
    wait.what = What::Wait("Signal");
    wait.compensation = None;
    wait.timeout = timeout;
    TestFlow::of([step("A"), wait, step("B")])
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn a_signal_moves_its_saga_in_every_interleaving_once() {
    let (reached, states) = explore_with(&loan(Some(DAY)), &[], (1, 1), &["yes", "yes"], false);
    assert_eq!(reached, ends(&["completed", "compensated"]));
    println!("{states} states");
    let (reached, _) = explore_with(&loan(None), &[], (0, 1), &["odd", "yes"], false);
    assert_eq!(reached, ends(&["completed"]));
}

#[test]
fn a_signal_that_says_no_or_does_not_come_undoes_the_saga() {
    let (reached, _) = explore_with(&loan(Some(DAY)), &[], (0, 1), &["no"], false);
    assert_eq!(reached, ends(&["compensated"]));
    let (reached, _) = explore_with(&loan(Some(DAY)), &[], (1, 1), &[], false);
    assert_eq!(reached, ends(&["compensated"]));
}

#[test]
fn a_signal_that_does_not_come_may_be_gone_on_without() {
    let mut flow = loan(Some(DAY));
    flow.steps[1].on_timeout = true;
    flow.lapse = Verdict::Continue;
    let (reached, _) = explore_with(&flow, &[], (0, 0), &[], false);
    assert_eq!(reached, ends(&["completed"]));
}

#[test]
fn a_signal_that_comes_early_is_kept_and_one_that_nobody_waits_for_is_not() {
    let flow = loan(None);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let signal = |row, name: &str| {
        let yes = Payload::encode("yes").unwrap();
        machine::signal(&flow, row, (name, &yes), None, &env).unwrap()
    };
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let (moved, taken) = signal(moved.row, "Other");
    assert!(!taken);
    let (mut moved, taken) = signal(moved.row, "Signal");
    assert!(taken);
    for n in 1..20 {
        let (next, taken) = signal(moved.row, "Signal");
        moved = next;
        assert_eq!(taken, n < 16, "{n}");
    }
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(names(&moved), ["B"]);
    let (moved, taken) = signal(moved.row, "Signal");
    assert!(!taken);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "completed");
}

#[test]
fn a_signal_that_another_build_takes_is_kept_for_the_one_that_waits() {
    let (flow, without) = (loan(None), TestFlow::of([step("A"), step("B")]));
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    let yes = Payload::encode("yes").unwrap();
    let signal = ("Signal", &yes);
    let (moved, _) = machine::signal(&without, moved.row, signal, None, &env).unwrap();
    assert_eq!(moved.row.status, "stuck");
    assert_eq!(Run::of(&moved.row).unwrap().signals.len(), 1);
    let moved = machine::operate(&flow, moved.row, Wish::Retry, ALICE, &env).unwrap();
    assert_eq!(names(&moved), ["B"]);
}

#[test]
fn what_comes_after_the_end_does_not_keep_a_saga_from_being_forgotten() {
    let flow = loan(None);
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Failed, &env);
    assert_eq!(moved.row.status, "compensated");
    let ended = moved.row.updated_at;
    env.now += DAY;
    let yes = Payload::encode("yes").unwrap();
    let (moved, taken) = machine::signal(&flow, moved.row, ("Signal", &yes), None, &env).unwrap();
    assert!(!taken);
    assert_eq!(moved.row.updated_at, ended);
}

#[test]
fn a_wait_without_a_time_is_due_at_the_deadline_only() {
    let mut flow = loan(None);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(moved.row.due_at, None);
    flow.late = true;
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(moved.row.due_at, Some(env.now));
    let moved = machine::due(&flow, moved.row, None, &env).unwrap();
    assert_eq!(names(&moved), ["UndoA"]);
}

#[test]
fn a_signal_that_this_build_does_not_know_is_kept_for_one_that_does() {
    let flow = loan(None);
    // It waits for another signal.
    let mut without = flow.clone();
    (without.steps[1].name, without.steps[1].what) = ("signed", What::Wait("Signed"));
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&without, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let yes = Payload::encode("yes").unwrap();
    let mut row = moved.row;
    let mut tell = |name: &str| {
        let signal = (name, &yes);
        let (moved, taken) = machine::signal(&without, row.clone(), signal, None, &env).unwrap();
        row = moved.row;
        (taken, Run::of(&row).unwrap().signals.len())
    };
    // Neither kind takes a place of the other one.
    for n in 1..=20 {
        assert_eq!(tell("Signal"), (false, n.min(16)));
    }
    for n in 1..=20 {
        assert_eq!(tell("Signed"), (n <= 16, 16 + n.min(16)));
    }
    for flow in [&flow, &without] {
        let moved = answer(flow, row.clone(), "A", Status::Done, &env);
        assert_eq!(names(&moved), ["B"]);
    }
}

#[test]
fn an_operators_signal_that_cannot_be_read_is_refused_early_or_not() {
    let flow = loan(None);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let odd = Payload::encode("odd").unwrap();
    let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let waits = answer(&flow, started.row.clone(), "A", Status::Done, &env);
    for row in [started.row, waits.row] {
        let refused = machine::signal(&flow, row.clone(), ("Signal", &odd), Some(ALICE), &env);
        let failure = refused.unwrap_err().into_failure();
        assert_eq!(
            (failure.kind(), failure.pointer()),
            (error::Kind::Invalid, Some("/content"))
        );
        // Nobody waits for an answer to what a handler signals.
        let noted = machine::signal(&flow, row, ("Signal", &odd), None, &env).unwrap();
        assert_eq!(noted.0.row.status, "running");
    }
}
