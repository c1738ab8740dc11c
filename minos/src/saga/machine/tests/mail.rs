//! What waits in a row for a build that knows its saga.

use super::*;
use crate::saga::machine::Posted;

fn signal(content: &str) -> Message {
    Message {
        id: Uuid::from_u128(9),
        kind: Kind::Signal,
        topic: "s.replies".to_owned(),
        name: "Signal".to_owned(),
        key: String::new(),
        at: DateTime::UNIX_EPOCH,
        headers: Headers::default(),
        payload: Payload::encode(content).unwrap(),
    }
}

/// How many of these messages find a place, and how long the row is then.
fn fills(message: &Message, times: usize) -> (usize, usize) {
    let flow = TestFlow::new(0, false);
    let clock = Ids(AtomicU64::new(1000));
    let env = env(&clock);
    let started = machine::start(&flow, Uuid::from_u128(7), Payload::null(), &env).unwrap();
    let (mut row, mut kept) = (started.row, 0);
    for _ in 0..times {
        match machine::post(row.clone(), message, env.now).unwrap() {
            Posted::Kept(moved) => (row, kept) = (moved.row, kept + 1),
            Posted::Before | Posted::Full => {}
        }
    }
    (kept, row.body.as_str().len())
}

#[test]
fn what_waits_in_a_row_is_bounded_in_number_and_in_size() {
    let (kept, _) = fills(&signal("yes"), 100);
    assert_eq!(kept, 64);
    let (kept, size) = fills(&signal(&"long ".repeat(10_000)), 100);
    assert_eq!(kept, 5);
    assert!(size < 300 * 1024, "{size}");
}

#[test]
fn that_a_saga_is_called_off_waits_once() {
    let called_off = |command| Message {
        kind: Kind::Void,
        headers: Headers {
            command: Some(Uuid::from_u128(command)),
            ..Headers::default()
        },
        ..signal("")
    };
    let (kept, _) = fills(&called_off(7), 3);
    assert_eq!(kept, 1);
}
