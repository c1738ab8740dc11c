//! Whether a service can do its work, and what is in its way.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;
use tokio::sync::watch;

/// How one part of a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum State {
    /// It is not there yet.
    Starting,
    /// It works.
    Up,
    /// It does not work.
    Down {
        /// Why, in words that everybody may read.
        reason: String,
    },
}

/// How the parts of one service are: ready once all are up, and until it stops.
#[derive(Debug, Default)]
pub(crate) struct Health {
    parts: Mutex<BTreeMap<String, State>>,
    stopping: AtomicBool,
    changes: watch::Sender<()>,
}

impl Health {
    /// Says how a part is. A part is known from the first time on.
    pub(crate) fn set(&self, name: &str, state: State) {
        self.lock().insert(name.to_owned(), state);
        self.changes.send_replace(());
    }

    pub(crate) fn starting(&self, name: &str) {
        self.set(name, State::Starting);
    }

    pub(crate) fn up(&self, name: &str) {
        self.set(name, State::Up);
    }

    pub(crate) fn down(&self, name: &str, reason: &str) {
        let reason = reason.to_owned();
        self.set(name, State::Down { reason });
    }

    /// From now on it is not ready, whatever its parts say.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether all parts are up and it does not stop.
    pub(crate) fn ready(&self) -> bool {
        !self.is_stopping() && self.lock().values().all(|s| *s == State::Up)
    }

    /// Returns once it is ready.
    pub(crate) async fn wait_ready(&self) {
        let mut changes = self.changes.subscribe();
        while !self.ready() {
            // The sender lives as long as `self`.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is not up; [`None`] when it is ready.
    pub(crate) fn why_not_ready(&self) -> Option<String> {
        if self.ready() {
            return None;
        }
        let down = |(name, state): (&String, &State)| match state {
            State::Up => None,
            State::Starting => Some(format!("{name} is starting")),
            State::Down { reason } => Some(format!("{name} is down: {reason}")),
        };
        let mut why: Vec<String> = self.lock().iter().filter_map(down).collect();
        if self.is_stopping() {
            why.push("it is stopping".to_owned());
        }
        Some(why.join(", "))
    }

    /// How each part is.
    #[cfg_attr(
        not(feature = "http"),
        allow(dead_code, reason = "only the HTTP door shows them")
    )]
    pub(crate) fn parts(&self) -> BTreeMap<String, State> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_while_all_parts_are_up() {
        let health = Health::default();
        health.starting("broker");
        assert!(!health.ready());
        health.up("broker");
        assert!(health.ready());
        health.down("relay", "the broker is away");
        assert!(!health.ready());
        assert_eq!(
            serde_json::to_value(health.parts()).unwrap(),
            serde_json::json!({
                "broker": {"status": "up"},
                "relay": {"status": "down", "reason": "the broker is away"},
            })
        );
    }

    #[test]
    fn what_stops_is_not_ready() {
        let health = Health::default();
        health.up("broker");
        health.stop();
        assert!(!health.ready());
        assert!(health.is_stopping());
    }
}
