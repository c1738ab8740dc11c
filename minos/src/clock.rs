//! Where time, ids and chance come from, so that a test can fix them.

use std::{fmt, sync::Mutex, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The source of time, ids and chance of a service.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time, in whole microseconds: what every backend can store.
    fn now(&self) -> DateTime<Utc>;

    /// A new id, ordered by time (UUID version 7).
    fn new_uuid(&self) -> Uuid;

    /// A number from 0 (included) to 1 (excluded), for jitter.
    fn chance(&self) -> f64;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> DateTime<Utc> {
        micros(Utc::now())
    }

    fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }
}

/// A clock that stands still until it is told to move; its ids count up.
#[derive(Debug)]
pub struct FixedClock {
    at: Mutex<(DateTime<Utc>, u64)>,
}

impl FixedClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn new(at: DateTime<Utc>) -> Self {
        Self {
            at: Mutex::new((micros(at), 0)),
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut at = self.at.lock().unwrap_or_else(|e| e.into_inner());
        at.0 += by;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        self.at.lock().unwrap_or_else(|e| e.into_inner()).0
    }

    fn new_uuid(&self) -> Uuid {
        let mut at = self.at.lock().unwrap_or_else(|e| e.into_inner());
        at.1 += 1;
        let millis = u64::try_from(at.0.timestamp_millis()).unwrap_or_default();
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&at.1.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// What tells this process from others, as long as it runs: a hint, and nothing that anything depends on.
pub(crate) fn process() -> Uuid {
    static PROCESS: std::sync::OnceLock<Uuid> = std::sync::OnceLock::new();
    #[cfg(any(test, feature = "testing"))]
    if let Some(process) = PRETENDED.get() {
        return process;
    }
    *PROCESS.get_or_init(Uuid::new_v4)
}

#[cfg(any(test, feature = "testing"))]
thread_local! {
    static PRETENDED: std::cell::Cell<Option<Uuid>> = const { std::cell::Cell::new(None) };
}

/// From now on this thread belongs to another process: for a test that starts again what it has killed.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn pretend(process: Option<Uuid>) {
    PRETENDED.set(process);
}

/// Drops what is finer than a microsecond.
pub(crate) fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_same_until_a_test_starts_another_one() {
        let own = process();
        let new = Uuid::new_v4();
        let pretended = std::thread::spawn(move || {
            pretend(Some(new));
            process()
        });
        assert_eq!(pretended.join().unwrap(), new);
        assert_eq!(process(), own);
    }
}
