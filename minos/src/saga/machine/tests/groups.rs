//! Parallel groups, conditions, and choices.

use super::*;

/// `A` and `B` at once, then `C`.
pub(super) fn group(retry: u32) -> TestFlow {
    let mut steps = [step("A"), step("B"), step("C")];
    steps.iter_mut().for_each(|s| s.retry = retry);
    steps[0].parallel = Some("both");
    steps[1].parallel = Some("both");
    TestFlow::of(steps)
}

#[test]
fn a_group_runs_at_once_and_is_joined_in_every_interleaving() {
    for (timeouts, copies) in [(2, 0), (1, 1)] {
        let (reached, states) = explore(&group(0), &[], timeouts, copies);
        assert_eq!(reached, ends(&["completed", "compensated"]));
        assert!(states > 3000, "only {states} states");
        println!("{states} states");
    }
}

#[test]
fn a_group_with_a_refused_member_or_successor_is_undone_whole() {
    for refused in ["A", "B", "C"] {
        let (reached, states) = explore(&group(0), &[refused], 1, 1);
        assert_eq!(reached, ends(&["compensated"]), "{refused}");
        println!("{refused}: {states} states");
    }
}

#[test]
fn both_members_are_sent_before_any_is_answered_and_undone_together() {
    let flow = group(0);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    assert_eq!(names(&moved), ["A", "B"]);
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(names(&moved), [""; 0]);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(names(&moved), ["C"]);
    let moved = answer(&flow, moved.row, "C", Status::Refused, &env);
    assert_eq!(names(&moved), ["UndoA", "UndoB"]);
    assert_eq!(moved.row.status, "compensating");
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert_eq!(moved.row.status, "compensating");
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "compensated");
}

#[test]
fn a_refused_member_calls_the_others_off_before_anything_is_undone() {
    let flow = group(0);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Refused, &env);
    let void = &moved.messages[0];
    assert_eq!((void.kind, void.name.as_str()), (Kind::Void, "B"));
    assert_eq!(moved.row.status, "running");
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(names(&moved), ["UndoB"]);
}

#[test]
fn the_pivot_in_a_group_decides_which_way_it_goes() {
    let mut flow = group(1);
    flow.steps[0].pivot = true;
    flow.steps[2].compensation = None;
    let (reached, _) = explore(&flow, &[], 1, 0);
    assert!(reached.contains("completed"), "{reached:?}");
    assert!(!reached.contains("stuck"), "{reached:?}");
    // Either the pivot can be called off, or there is only forward, where `B` is refused again and again.
    let (reached, _) = explore(&flow, &["B"], 0, 0);
    assert_eq!(reached, ends(&["compensated", "stuck"]));
}

#[test]
fn a_local_member_of_a_group_that_fails_undoes_the_others() {
    let mut flow = group(0);
    flow.steps[1].what = What::Local;
    flow.steps[1].compensation = Some(What::Local);
    let (reached, _) = explore(&flow, &[], 1, 1);
    assert_eq!(reached, ends(&["completed", "compensated"]));
    let (reached, _) = explore(&flow, &["B"], 1, 1);
    assert_eq!(reached, ends(&["compensated"]));
}

#[test]
fn a_step_whose_condition_does_not_hold_is_skipped_and_not_undone() {
    let mut flow = TestFlow::new(0, false);
    flow.steps[0].when = Some("wanted");
    let (reached, _) = explore(&flow, &[], 1, 1);
    assert_eq!(reached, ends(&["completed", "compensated"]));
    let (reached, _) = explore(&flow, &["B"], 1, 1);
    assert_eq!(reached, ends(&["compensated"]));
    flow.holds = vec!["wanted"];
    let (reached, _) = explore(&flow, &["B"], 1, 1);
    assert_eq!(reached, ends(&["compensated"]));
}

#[test]
fn the_first_branch_that_holds_runs_and_the_others_are_skipped() {
    let mut steps = [step("A"), step("B"), step("C")];
    steps.iter_mut().for_each(|s| s.choice = Some("way"));
    steps[0].when = Some("first");
    steps[1].when = Some("second");
    let flow = TestFlow::of(steps);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    for (holds, runs) in [
        (vec!["first", "second"], "A"),
        (vec!["second"], "B"),
        (vec![], "C"),
    ] {
        let flow = TestFlow {
            holds,
            ..flow.clone()
        };
        let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
        assert_eq!(names(&moved), [runs]);
        // The branch is chosen once, whatever holds later.
        let later = TestFlow {
            holds: vec!["first", "second"],
            ..flow.clone()
        };
        let moved = answer(&later, moved.row, runs, Status::Done, &env);
        assert_eq!(moved.row.status, "completed");
        let skipped = Run::of(&moved.row).unwrap();
        let skipped = skipped
            .steps
            .iter()
            .filter(|s| s.status == StepStatus::Skipped);
        assert_eq!(skipped.count(), 2);
        let (reached, _) = explore(&flow, &[], 1, 1);
        assert_eq!(reached, ends(&["completed", "compensated"]));
    }
}

#[test]
fn a_choice_in_which_nothing_holds_is_passed() {
    let mut flow = TestFlow::new(0, false);
    for step in &mut flow.steps {
        step.choice = Some("way");
        step.when = Some("never");
    }
    let clock = Ids(AtomicU64::new(1000));
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env(&clock)).unwrap();
    assert_eq!(moved.row.status, "completed");
}

#[test]
fn a_pivot_in_a_branch_that_is_not_taken_does_not_keep_the_saga_from_going_back() {
    let mut flow = group(0);
    for step in &mut flow.steps {
        step.parallel = None;
    }
    flow.steps[1].pivot = true;
    flow.steps[1].when = Some("never");
    let (reached, _) = explore(&flow, &["C"], 1, 1);
    assert_eq!(reached, ends(&["compensated"]));
}
