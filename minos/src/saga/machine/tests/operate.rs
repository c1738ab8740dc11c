//! What operators do, and definitions that change.

use super::*;
use crate::saga::machine::{By, Wish};

pub(super) const ALICE: By<'_> = By {
    who: "alice",
    why: "a test",
};

/// A saga whose second step is stuck after its pivot.
fn stuck_forward(flow: &TestFlow, env: &Env<'_>) -> SagaRow {
    let moved = machine::start(flow, Uuid::from_u128(7), Payload::null(), env).unwrap();
    let mut row = answer(flow, moved.row, "A", Status::Done, env).row;
    while row.status != "stuck" {
        let waits = Run::of(&row).unwrap().executions[0].attempt > 0;
        row = match waits {
            true => answer(flow, row, "B", Status::Failed, env).row,
            false => {
                let mut late = self::env(env_clock(env));
                late.now = row.due_at.unwrap();
                machine::due(flow, row, None, &late).unwrap().row
            }
        };
    }
    row
}

fn env_clock<'a>(_: &Env<'_>) -> &'a Ids {
    static CLOCK: Ids = Ids(AtomicU64::new(5000));
    &CLOCK
}

#[test]
fn a_stuck_step_is_tried_anew_or_taken_for_done() {
    let flow = TestFlow::new(0, true);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let row = stuck_forward(&flow, &env);
    let retried = machine::operate(&flow, row.clone(), Wish::Retry, ALICE, &env).unwrap();
    assert_eq!(names(&retried), ["B"]);
    assert!(retried.history[0].as_str().contains("alice"));
    let moved = answer(&flow, retried.row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "completed");
    let skipped = machine::operate(&flow, row.clone(), Wish::Skip(None), ALICE, &env).unwrap();
    assert_eq!(skipped.row.status, "completed");
    let refused = machine::operate(&flow, row, Wish::Cancel, ALICE, &env).unwrap_err();
    assert_eq!(refused.kind(), Some(error::Kind::Conflict));
}

#[test]
fn a_saga_that_is_cancelled_is_undone_once_what_is_under_way_is_resolved() {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    let moved = machine::operate(&flow, moved.row, Wish::Cancel, ALICE, &env).unwrap();
    assert_eq!(moved.messages[0].kind, Kind::Void);
    let again = machine::operate(&flow, moved.row.clone(), Wish::Cancel, ALICE, &env);
    assert_eq!(again.unwrap_err().kind(), Some(error::Kind::Conflict));
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(names(&moved), ["UndoB"]);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(names(&moved), ["UndoA"]);
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(moved.row.status, "compensated");
    let run = Run::of(&moved.row).unwrap();
    assert_eq!(run.error.unwrap().kind, "cancelled");
    let over = machine::operate(&flow, moved.row, Wish::Retry, ALICE, &env);
    assert_eq!(over.unwrap_err().kind(), Some(error::Kind::Conflict));
}

#[test]
fn a_step_that_waits_is_skipped_without_its_answer() {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let wrong = machine::operate(&flow, moved.row.clone(), Wish::Skip(Some("B")), ALICE, &env);
    assert!(wrong.unwrap_err().to_string().contains("`B` is not among"));
    let moved = machine::operate(&flow, moved.row, Wish::Skip(Some("A")), ALICE, &env).unwrap();
    assert_eq!(names(&moved), ["B"]);
}

#[test]
fn a_step_that_is_gone_or_another_leaves_the_saga_stuck_and_one_more_does_not() {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let gone = TestFlow::of([step("B")]);
    let mut local = flow.clone();
    local.steps[0].what = What::Local;
    let mut elsewhere = flow.clone();
    elsewhere.steps[0].what = target("Elsewhere");
    for changed in [&gone, &local, &elsewhere] {
        let moved = answer(changed, started.row.clone(), "A", Status::Done, &env);
        assert_eq!(moved.row.status, "stuck");
        let halt = Run::of(&moved.row).unwrap().halt.unwrap();
        assert!(
            halt.why.text.contains("A=command:A/command:UndoA"),
            "{}",
            halt.why.text
        );
        // Once the step is back, the saga goes on.
        let moved = machine::operate(&flow, moved.row, Wish::Retry, ALICE, &env).unwrap();
        assert_eq!(names(&moved), ["B"]);
    }
    let longer = TestFlow::of([step("A"), step("B"), step("C")]);
    let moved = answer(&longer, started.row, "A", Status::Done, &env);
    assert_eq!(moved.row.status, "running");
    let lines: Vec<_> = moved.history.iter().map(Payload::as_str).collect();
    assert!(
        lines.iter().any(|l| l.contains("another definition")),
        "{lines:?}"
    );
    let moved = answer(&longer, moved.row, "B", Status::Done, &env);
    assert_eq!(names(&moved), ["C"]);
}

#[test]
fn a_step_that_is_gone_is_never_taken_for_undone() {
    let flow = TestFlow::of([step("A"), step("B"), step("C")]);
    let without = TestFlow::of([step("A"), step("C")]);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    let mut moved = answer(&without, moved.row, "C", Status::Failed, &env);
    for _ in 0..2 {
        assert_eq!(moved.row.status, "stuck");
        assert!(moved.messages.is_empty());
        moved = machine::operate(&without, moved.row, Wish::Retry, ALICE, &env).unwrap();
    }
    let moved = machine::operate(&flow, moved.row, Wish::Retry, ALICE, &env).unwrap();
    assert_eq!(names(&moved), ["UndoB"]);
}

#[test]
fn a_saga_does_not_turn_back_where_a_step_is_gone_that_may_be_its_pivot() {
    let flow = TestFlow::new(0, true);
    let gone = TestFlow::of([step("B")]);
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    let halted = answer(&gone, moved.row, "B", Status::Refused, &env);
    assert!(halted.misfit);
    let run = Run::of(&halted.row).unwrap();
    assert_eq!(run.halt.clone().unwrap().from.as_str(), "running");
    assert_eq!(run.status("A"), Some(StepStatus::Done));

    // Once the pivot is back there is only forward.
    let moved = machine::operate(&flow, halted.row.clone(), Wish::Retry, ALICE, &env).unwrap();
    assert_eq!(moved.row.status, "running");
    env.now = moved.row.due_at.unwrap();
    let moved = machine::due(&flow, moved.row, None, &env).unwrap();
    assert_eq!(names(&moved), ["B"]);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "completed");

    // If it never comes back, somebody says that it needs no undoing.
    let moved = machine::operate(&gone, halted.row, Wish::Skip(None), ALICE, &env).unwrap();
    assert_eq!(moved.row.status, "compensated");
    assert!(!moved.misfit);
}

#[test]
fn a_step_that_is_gone_and_did_not_run_matters_only_if_what_came_after_it_lasts() {
    for lasts in [false, true] {
        let mut steps = [step("P"), step("B"), step("C")];
        (steps[0].pivot, steps[0].when) = (true, Some("it rains"));
        if lasts {
            steps[1].compensation = None;
        }
        let gone = TestFlow::of(steps[1..].to_vec());
        let flow = TestFlow::of(steps);
        let clock = Ids(AtomicU64::new(1000));
        let env = env(&clock);
        let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
        let moved = answer(&flow, moved.row, "B", Status::Done, &env);
        let moved = answer(&gone, moved.row, "C", Status::Refused, &env);
        assert_eq!(moved.misfit, lasts);
        let back = if lasts { vec![] } else { vec!["UndoB"] };
        assert_eq!(names(&moved), back);
    }
}

#[test]
fn a_step_that_is_gone_and_was_skipped_is_not_begun_once_it_is_back() {
    let flow = TestFlow::new(0, false);
    let gone = TestFlow::of([step("B")]);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&gone, moved.row, "A", Status::Done, &env);
    let moved = machine::operate(&gone, moved.row, Wish::Skip(None), ALICE, &env).unwrap();
    assert_eq!(moved.row.status, "stuck");
    let moved = machine::operate(&flow, moved.row, Wish::Retry, ALICE, &env).unwrap();
    assert_eq!(names(&moved), ["B"]);
}

#[test]
fn an_answer_that_comes_after_all_moves_a_stuck_saga() {
    let flow = TestFlow::new(0, true);
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let mut row = answer(&flow, moved.row, "A", Status::Done, &env).row;
    while row.status == "running" {
        env.now = row.due_at.unwrap();
        row = machine::due(&flow, row, None, &env).unwrap().row;
    }
    assert_eq!(row.status, "stuck");
    let moved = answer(&flow, row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "completed");
}

#[test]
fn a_saga_that_is_cancelled_at_any_moment_ends_whole_or_undone() {
    let (reached, states) = explore_with(&TestFlow::new(0, false), &[], (1, 1), &[], true);
    assert_eq!(reached, ends(&["completed", "compensated"]));
    println!("{states} states");
    let (reached, states) = explore_with(&groups::group(0), &[], (0, 1), &[], true);
    assert_eq!(reached, ends(&["completed", "compensated"]));
    println!("a group: {states} states");
    let (reached, _) = explore_with(&TestFlow::new(0, true), &[], (1, 1), &[], true);
    assert_eq!(reached, ends(&["completed", "compensated"]));
    let (reached, _) = explore_with(&waits::loan(None), &[], (0, 0), &["yes"], true);
    assert_eq!(reached, ends(&["completed", "compensated"]));
}

#[test]
fn while_one_of_a_group_is_stuck_the_others_are_answered_and_nothing_begins() {
    let mut flow = groups::group(0);
    let mut pivot = step("P");
    pivot.pivot = true;
    flow.steps.insert(0, pivot);
    for step in &mut flow.steps[1..] {
        step.compensation = None;
    }
    flow.steps[2].timeout = Some(Duration::from_secs(24 * 3600));
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let mut row = answer(&flow, moved.row, "P", Status::Done, &env).row;
    while row.status == "running" {
        let run = Run::of(&row).unwrap();
        let a = run.executions.iter().find(|e| e.step == "A").unwrap();
        row = match a.attempt {
            0 => {
                env.now = a.due_at.unwrap();
                machine::due(&flow, row, None, &env).unwrap().row
            }
            _ => answer(&flow, row, "A", Status::Failed, &env).row,
        };
    }
    let moved = answer(&flow, row, "B", Status::Done, &env);
    assert_eq!(
        (moved.row.status.as_str(), moved.messages.len()),
        ("stuck", 0)
    );
    let moved = machine::operate(&flow, moved.row, Wish::Retry, ALICE, &env).unwrap();
    assert_eq!(names(&moved), ["A"]);
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(names(&moved), ["C"]);
}
