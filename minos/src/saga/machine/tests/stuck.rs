//! Sagas that are stuck, and what they need to go on.

use super::{operate::ALICE, *};
use crate::saga::machine::Wish;

fn retry(flow: &TestFlow, row: SagaRow, env: &Env<'_>) -> Moved {
    machine::operate(flow, row, Wish::Retry, ALICE, env).unwrap()
}

fn nested(name: &'static str) -> What {
    let kind = TargetKind::Saga;
    What::Remote(Target { kind, name })
}

/// `Inner`, for flows that start it.
fn inner() -> BTreeMap<&'static str, Arc<dyn Flow>> {
    let inner: Arc<dyn Flow> = Arc::new(TestFlow {
        name: "Inner",
        ..TestFlow::of([step("A")])
    });
    BTreeMap::from([("Inner", inner)])
}

/// A pivot, which is a command or a saga, and `B` after it.
fn pivot_and_b(what: What) -> TestFlow {
    let mut pivot = step("P");
    (pivot.what, pivot.pivot, pivot.compensation) = (what, true, None);
    let mut after = step("B");
    after.compensation = None;
    TestFlow::of([pivot, after])
}

#[test]
fn an_answer_that_could_not_be_taken_is_taken_by_a_retry() {
    let (clock, inner) = (Ids(AtomicU64::new(1000)), inner());
    let env = Env {
        sagas: &inner,
        ..env(&clock)
    };
    for what in [nested("Inner"), target("P")] {
        let flow = pivot_and_b(what);
        let mut unread = flow.clone();
        unread.unread = "P";
        // It decides what cannot be done after a pivot.
        let mut undecided = flow.clone();
        undecided.verdict = Verdict::Compensate;
        let gone = TestFlow::of([step("B")]);
        for broken in [&unread, &undecided, &gone] {
            let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
            let moved = answer(broken, started.row, "P", Status::Done, &env);
            assert_eq!(moved.row.status, "stuck");
            // As long as nothing is mended it is stuck again.
            let moved = retry(broken, moved.row, &env);
            assert_eq!(
                (moved.row.status.as_str(), names(&moved)),
                ("stuck", vec![])
            );
            let moved = retry(&flow, moved.row, &env);
            assert_eq!(
                (moved.row.status.as_str(), names(&moved)),
                ("running", vec!["B"])
            );
            assert!(moved.children.is_empty());
            let moved = answer(&flow, moved.row, "B", Status::Done, &env);
            assert_eq!(moved.row.status, "completed");
        }
    }
}

#[test]
fn an_answer_to_a_compensation_that_was_gone_is_taken_by_a_retry() {
    let (clock, inner) = (Ids(AtomicU64::new(1000)), inner());
    let env = Env {
        sagas: &inner,
        ..env(&clock)
    };
    for what in [target("UndoA"), nested("Inner")] {
        let mut undone = step("A");
        undone.compensation = Some(what);
        let flow = TestFlow::of([undone, step("B")]);
        let gone = TestFlow::of([step("B")]);
        let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
        let moved = answer(&flow, moved.row, "A", Status::Done, &env);
        let moved = answer(&flow, moved.row, "B", Status::Refused, &env);
        assert_eq!(moved.row.status, "compensating");
        let moved = answer(&gone, moved.row, "A", Status::Done, &env);
        assert_eq!(moved.row.status, "stuck");
        let moved = retry(&flow, moved.row, &env);
        assert_eq!(moved.row.status, "compensated");
    }
}

#[test]
fn an_answer_that_could_not_be_taken_says_what_to_undo_once_it_is_cancelled() {
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let flow = TestFlow::new(0, false);
    let gone = TestFlow::of([step("B")]);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&gone, moved.row, "A", Status::Done, &env);
    assert_eq!(moved.row.status, "stuck");
    let moved = machine::operate(&flow, moved.row, Wish::Cancel, ALICE, &env).unwrap();
    assert_eq!(
        (moved.row.status.as_str(), names(&moved)),
        ("compensating", vec!["UndoA"])
    );
}

#[test]
fn a_command_that_nobody_answered_is_sent_again_under_its_id_by_a_retry() {
    let flow = TestFlow::new(0, true);
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let mut moved = answer(&flow, moved.row, "A", Status::Done, &env);
    let command = moved.messages[0].headers.command;
    while moved.row.status == "running" {
        env.now = moved.row.due_at.unwrap();
        moved = machine::due(&flow, moved.row, None, &env).unwrap();
    }
    let moved = retry(&flow, moved.row, &env);
    assert_eq!(names(&moved), ["B"]);
    assert_eq!(moved.messages[0].headers.command, command);
}

/// `A` and `B` at once, then `C`: what undoes `B` is refused for good.
fn stuck_beside(flow: &TestFlow, env: &Env<'_>) -> SagaRow {
    let moved = machine::start(flow, Uuid::from_u128(7), Payload::null(), env).unwrap();
    let moved = answer(flow, moved.row, "A", Status::Done, env);
    let moved = answer(flow, moved.row, "B", Status::Done, env);
    let mut row = answer(flow, moved.row, "C", Status::Refused, env).row;
    while row.status == "compensating" {
        let run = Run::of(&row).unwrap();
        let b = run.executions.iter().find(|e| e.step == "B").unwrap();
        row = match b.attempt {
            0 => {
                let mut late = self::env(&LATE);
                (late.now, late.sagas) = (b.due_at.unwrap(), env.sagas);
                machine::due(flow, row, None, &late).unwrap().row
            }
            _ => answer(flow, row, "B", Status::Failed, env).row,
        };
    }
    assert_eq!(row.status, "stuck");
    row
}

static LATE: Ids = Ids(AtomicU64::new(9000));

/// The same, and so is what undoes `A`.
fn both_stuck(flow: &TestFlow, env: &Env<'_>) -> SagaRow {
    let moved = machine::start(flow, Uuid::from_u128(7), Payload::null(), env).unwrap();
    let moved = answer(flow, moved.row, "A", Status::Done, env);
    let moved = answer(flow, moved.row, "B", Status::Done, env);
    let row = answer(flow, moved.row, "C", Status::Refused, env).row;
    assert_eq!(row.status, "compensating");
    fail_both(flow, row, env)
}

/// What is under way of `A` and `B` fails until both are stuck.
fn fail_both(flow: &TestFlow, mut row: SagaRow, env: &Env<'_>) -> SagaRow {
    while row.status != "stuck" {
        for step in ["A", "B"] {
            row = answer(flow, row, step, Status::Failed, env).row;
        }
        let mut late = self::env(&LATE);
        late.now += Duration::from_secs(3600);
        row = machine::due(flow, row, None, &late).unwrap().row;
    }
    let run = Run::of(&row).unwrap();
    let both = ["A", "B"].map(|name| run.status(name));
    assert_eq!(both, [Some(StepStatus::Stuck); 2]);
    assert!(run.executions.is_empty());
    row
}

#[test]
fn a_retry_that_fails_for_one_of_a_group_leaves_the_others_to_the_next_one() {
    let flow = groups::group(0);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    for (row, broken) in [
        (both_stuck(&flow, &env), "A"),
        (both_stuck(&flow, &env), "B"),
        (stuck_beside(&flow, &env), "A"),
    ] {
        let broken = TestFlow {
            broken,
            ..flow.clone()
        };
        let moved = retry(&broken, row, &env);
        assert_eq!(moved.row.status, "stuck");
        let moved = retry(&flow, moved.row, &env);
        let mut names = names(&moved);
        names.sort_unstable();
        assert_eq!(names, ["UndoA", "UndoB"]);
        let moved = answer(&flow, moved.row, "A", Status::Done, &env);
        assert_eq!(moved.row.status, "compensating");
        let moved = answer(&flow, moved.row, "B", Status::Done, &env);
        assert_eq!(moved.row.status, "compensated");
    }
}

#[test]
fn a_retry_that_fails_for_one_of_a_group_after_the_pivot_begins_the_others_with_the_next_one() {
    let mut flow = groups::group(0);
    let mut pivot = step("P");
    pivot.pivot = true;
    flow.steps.insert(0, pivot);
    for step in &mut flow.steps {
        step.compensation = None;
    }
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "P", Status::Done, &env);
    let row = fail_both(&flow, moved.row, &env);
    let broken = TestFlow {
        broken: "A",
        ..flow.clone()
    };
    let moved = retry(&broken, row, &env);
    assert_eq!(moved.row.status, "stuck");
    let moved = retry(&flow, moved.row, &env);
    assert_eq!(names(&moved), ["A", "B"]);
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    assert!(moved.messages.is_empty());
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(names(&moved), ["C"]);
}

#[test]
fn a_step_that_nobody_looks_after_keeps_its_saga_from_its_end() {
    let flow = groups::group(0);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let mut row = both_stuck(&flow, &env);
    let mut run = Run::of(&row).unwrap();
    run.halt = None;
    run.step("A").unwrap().status = StepStatus::Compensated;
    run.step("B").unwrap().status = StepStatus::Compensating;
    row.status = "compensating".to_owned();
    row.body = run.body().unwrap();
    let moved = machine::due(&flow, row, None, &env).unwrap();
    assert_eq!(moved.row.status, "stuck");
    assert_eq!(names(&retry(&flow, moved.row, &env)), ["UndoB"]);
}

#[test]
fn a_retry_leaves_a_saga_alone_that_is_a_compensation_and_runs() {
    let (clock, inner) = (Ids(AtomicU64::new(1000)), inner());
    let env = Env {
        sagas: &inner,
        ..env(&clock)
    };
    let (remote, saga) = (target("UndoA"), nested("Inner"));
    for (what, undoes, sent) in [
        (target("A"), saga, vec!["UndoB"]),
        (saga, remote, vec!["UndoA", "UndoB"]),
    ] {
        let mut group = [step("A"), step("B")];
        group.iter_mut().for_each(|s| s.parallel = Some("both"));
        (group[0].what, group[0].compensation) = (what, Some(undoes));
        // Nobody becomes impatient with it meanwhile.
        group[0].timeout = Some(Duration::from_secs(24 * 3600));
        let [a, b] = group;
        let flow = TestFlow::of([a, b, step("C")]);
        let moved = retry(&flow, stuck_beside(&flow, &env), &env);
        let mut names = names(&moved);
        names.sort_unstable();
        assert_eq!((names, moved.children.len()), (sent, 0));
        let moved = answer(&flow, moved.row, "B", Status::Done, &env);
        let moved = answer(&flow, moved.row, "A", Status::Done, &env);
        assert_eq!(moved.row.status, "compensated");
    }
}

#[test]
fn one_that_was_given_up_goes_on_the_way_it_went() {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let given_up = |row| machine::abandon(row, "nobody has it", env.now).row;
    let row = given_up(started.row.clone());
    let halt = Run::of(&row).unwrap().halt.unwrap();
    assert_eq!(
        (halt.from.as_str(), halt.why.text.as_str()),
        ("running", "nobody has it")
    );
    assert_eq!(names(&retry(&flow, row.clone(), &env)), ["A"]);

    // Called off meanwhile, by whoever started it or by an operator.
    let called_off = machine::call_off(&flow, row.clone(), &env).unwrap().row;
    let cancelled = machine::operate(&flow, started.row, Wish::Cancel, ALICE, &env)
        .unwrap()
        .row;
    for (row, kind) in [(called_off, "voided"), (given_up(cancelled), "cancelled")] {
        let moved = retry(&flow, row, &env);
        assert_eq!(moved.messages[0].kind, Kind::Void);
        let moved = answer(&flow, moved.row, "A", Status::Voided, &env);
        assert_eq!(moved.row.status, "compensated");
        assert_eq!(Run::of(&moved.row).unwrap().error.unwrap().kind, kind);
    }

    let moved = machine::operate(&flow, row, Wish::Cancel, ALICE, &env).unwrap();
    assert_eq!(
        (moved.row.status.as_str(), moved.messages[0].kind),
        ("running", Kind::Void)
    );
}

#[test]
fn one_that_has_ended_is_not_given_up() {
    let flow = TestFlow::of([step("A")]);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&flow, moved.row, "A", Status::Done, &env);
    let moved = machine::abandon(moved.row, "nobody has it", env.now);
    assert_eq!(
        (moved.row.status.as_str(), moved.row.due_at),
        ("completed", None)
    );
}

#[test]
fn what_is_decided_about_a_saga_that_moved_very_often_is_kept_whole() {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let mut started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    started.row.version = 600;
    let why = "why ".repeat(1000);
    let by = machine::By {
        who: "alice",
        why: &why,
    };
    let moved = machine::operate(&flow, started.row, Wish::Cancel, by, &env).unwrap();
    assert_eq!(moved.history.len(), 1);
    assert!(moved.history[0].as_str().contains(&why));
    let latest = Run::of(&moved.row).unwrap().latest;
    assert!(
        !latest.is_empty() && latest.iter().all(|l| !l.as_str().contains("alice")),
        "{latest:?}"
    );
}

#[test]
fn that_one_is_given_up_after_it_moved_very_often_is_its_last_line() {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    for (version, beside) in [(499, 1), (500, 0)] {
        let row = SagaRow {
            version,
            ..started.row.clone()
        };
        let moved = machine::abandon(row, "nobody has it", env.now);
        assert_eq!(moved.history.len(), beside);
        let run = Run::of(&moved.row).unwrap();
        assert_eq!(run.latest.len(), 1 - beside);
        let last = run.latest.iter().chain(&moved.history).next().unwrap();
        assert!(last.as_str().contains("nobody has it"), "{last:?}");
        assert_eq!(run.halt.unwrap().why.text, "nobody has it");
    }
    // What cannot be read has its line all the same.
    let broken = SagaRow {
        version: 500,
        body: Payload::null(),
        ..started.row
    };
    assert_eq!(machine::abandon(broken, "broken", env.now).history.len(), 1);
}

#[test]
fn a_history_is_bounded_whatever_happens() {
    let flow = TestFlow::new(0, true);
    let gone = TestFlow::of([step("B")]);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let moved = answer(&gone, started.row, "A", Status::Done, &env);
    let (mut row, mut lines) = (moved.row, started.history.len() + moved.history.len());
    let long = Payload::encode(&"long ".repeat(10_000)).unwrap();
    for _ in 0..2000 {
        let moved = retry(&gone, row, &env);
        assert_eq!(moved.row.status, "stuck");
        let (late, _) = machine::signal(&flow, moved.row, ("B", &long), None, &env).unwrap();
        let all = moved.history.iter().chain(&late.history);
        let (decided, others): (Vec<_>, Vec<_>) = all.partition(|l| l.as_str().contains("\"by\""));
        // What somebody decided is kept whole, for good.
        assert_eq!(decided.len(), 1);
        assert!(decided[0].as_str().contains("retried"));
        lines += others.len();
        row = late.row;
    }
    assert!((500..2000).contains(&lines), "{lines} lines");
    let run = Run::of(&row).unwrap();
    assert_eq!(run.latest.len(), 100);
    assert!(run.left_out > 1000, "{}", run.left_out);
    let size = Payload::encode(&run.latest).unwrap().as_str().len();
    assert!(size < 100 * 1024, "{size} bytes");
    let last = run.latest.last().unwrap().as_str();
    assert!(
        last.contains("left out: ") && last.contains("\"what\":"),
        "{last}"
    );
}
