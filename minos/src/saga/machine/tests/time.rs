//! Pauses, and what it means that nobody answers in time.

use super::*;
use crate::clock::micros;

const DAY: u64 = 24 * 3600;

/// A payment that is tried again over days, then given up.
fn renewal() -> TestFlow {
    let mut pay = step("A");
    pay.retry = 5;
    pay.backoff = Some(Duration::from_secs(DAY));
    pay.max_backoff = Some(Duration::from_secs(3 * DAY));
    TestFlow::of([pay])
}

fn seconds(row: &SagaRow, now: DateTime<Utc>) -> i64 {
    (row.due_at.unwrap() - now).num_seconds()
}

#[test]
fn what_failed_is_tried_again_after_pauses_that_double_up_to_the_longest() {
    let flow = renewal();
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let mut moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let mut pauses = Vec::new();
    while moved.row.status == "running" {
        assert_eq!(names(&moved), ["A"]);
        let failed = answer(&flow, moved.row, "A", Status::Failed, &env);
        if failed.row.status != "running" {
            moved = failed;
            break;
        }
        assert_eq!(names(&failed), [""; 0]);
        let pause = seconds(&failed.row, env.now);
        pauses.push(pause / i64::try_from(DAY).unwrap());
        env.now += Duration::from_secs(pause.unsigned_abs());
        moved = machine::due(&flow, failed.row, None, &env).unwrap();
    }
    assert_eq!(moved.row.status, "compensated");
    assert_eq!(pauses, [1, 2, 3, 3, 3]);
}

/// A pause that is no whole number of microseconds.
#[derive(Debug)]
struct Uneven(Ids);

impl Clock for Uneven {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn new_uuid(&self) -> Uuid {
        self.0.new_uuid()
    }

    fn chance(&self) -> f64 {
        0.123_456_789_123
    }
}

#[test]
fn a_saga_that_a_store_finds_due_is_due() {
    let flow = renewal();
    let clock = Uneven(Ids(AtomicU64::new(1000)));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let failed = answer(&flow, moved.row, "A", Status::Failed, &env);
    let due = Run::of(&failed.row).unwrap().executions[0].due_at.unwrap();
    assert_ne!(due.timestamp_subsec_nanos() % 1000, 0, "{due}");
    // As a store keeps it.
    env.now = micros(failed.row.due_at.unwrap());
    let again = machine::due(&flow, failed.row, None, &env).unwrap();
    assert_eq!(names(&again), ["A"]);
}

#[test]
fn an_attempt_that_is_not_answered_pauses_before_the_next_one_and_a_late_answer_counts() {
    let flow = renewal();
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    env.now += Duration::from_secs(1);
    let moved = machine::due(&flow, moved.row, None, &env).unwrap();
    assert_eq!(names(&moved), [""; 0]);
    assert_eq!(seconds(&moved.row, env.now), i64::try_from(DAY).unwrap());
    let late = answer(&flow, moved.row.clone(), "A", Status::Done, &env);
    assert_eq!(late.row.status, "completed");
    env.now += Duration::from_secs(DAY);
    let again = machine::due(&flow, moved.row, None, &env).unwrap();
    assert_eq!(names(&again), ["A"]);
    let run = Run::of(&again.row).unwrap();
    assert_eq!(run.executions[0].attempt, 2);
}

#[test]
fn a_step_that_lapses_is_passed_tried_anew_or_undone_and_never_done_unseen() {
    for (lapse, reached) in [
        (Verdict::Continue, vec!["completed"]),
        (Verdict::Compensate, vec!["completed", "compensated"]),
    ] {
        let mut flow = TestFlow::new(0, false);
        flow.steps[0].on_timeout = true;
        flow.steps[1].retry = 1;
        flow.lapse = lapse;
        let (got, states) = explore(&flow, &[], 1, 1);
        assert_eq!(got, ends(&reached), "{lapse:?}");
        println!("{lapse:?}: {states} states");
    }
    let mut flow = TestFlow::of([step("A")]);
    flow.steps[0].on_timeout = true;
    flow.lapse = Verdict::Retry;
    let (got, _) = explore(&flow, &[], 2, 0);
    assert_eq!(got, ends(&["completed"]));
}

#[test]
fn one_that_is_due_is_looked_at_and_its_neighbour_is_not() {
    let mut steps = [step("A"), step("B")];
    steps.iter_mut().for_each(|s| s.parallel = Some("both"));
    steps[1].timeout = Some(Duration::from_secs(5));
    let flow = TestFlow::of(steps);
    let clock = Ids(AtomicU64::new(1000));
    let mut env = env(&clock);
    let moved = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    assert_eq!(seconds(&moved.row, env.now), 1);
    env.now += Duration::from_secs(1);
    let moved = machine::due(&flow, moved.row, None, &env).unwrap();
    let voids: Vec<_> = moved
        .messages
        .iter()
        .map(|m| (m.kind, m.name.as_str()))
        .collect();
    assert_eq!(voids, [(Kind::Void, "A")]);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "running");
    let moved = answer(&flow, moved.row, "A", Status::Voided, &env);
    assert_eq!(names(&moved), ["UndoB"]);
}

#[test]
fn a_row_with_one_execution_as_it_was_stored_once_is_read() {
    let at = DateTime::from_timestamp(5, 0);
    let row = SagaRow {
        id: Uuid::from_u128(7),
        name: "Test".to_owned(),
        version: 3,
        status: "running".to_owned(),
        due_at: at,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        body: Payload::from_text(
            r#"{"state":null,"steps":[{"name":"A","status":"running","attempts":1,"compensations":0,
                "started_at":"1970-01-01T00:00:00Z"}],"execution":{"command":"00000000-0000-0000-0000-0000000003e8",
                "step":"A","undo":false,"attempt":1,"before":0,"waiting":"reply","changes":true,
                "since":"1970-01-01T00:00:00Z"},"definition":"A,B"}"#,
        ),
    };
    let run = Run::of(&row).unwrap();
    assert_eq!(run.executions[0].due_at, at);
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(2000));
    let env = env(&clock);
    let moved = answer(&flow, row, "A", Status::Done, &env);
    assert_eq!(names(&moved), ["B"]);
    let moved = answer(&flow, moved.row, "B", Status::Done, &env);
    assert_eq!(moved.row.status, "completed");
}
