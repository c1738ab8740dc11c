//! One queue per hot aggregate, so that its handlers wait for each other instead of colliding.
//!
//! Slots save work; they are not what keeps the data right (the guard of the commit is). So a slot is waited for
//! only so long, and whoever waited too long goes on without.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::store::StreamId;

/// How long a slot is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The slots of one service.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    // Weak: an aggregate nobody works on leaves no trace but this entry, which is swept now and then.
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    by_stream: HashMap<StreamId, Weak<AsyncMutex<()>>>,
    sweep_at: usize,
}

/// A slot that is held; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Slot {
    stream: StreamId,
    _guard: OwnedMutexGuard<()>,
}

/// The slots that one unit of work holds.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<Slot>);

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, stream: &StreamId) -> bool {
        self.0.iter().any(|s| s.stream == *stream)
    }

    pub(crate) fn add(&mut self, slot: Slot) {
        self.0.push(slot);
    }
}

impl Slots {
    /// Waits for the slot; [`None`] if that takes too long.
    pub(crate) async fn take(&self, stream: &StreamId) -> Option<Slot> {
        let queue = self.queue(stream);
        let guard = tokio::time::timeout(PATIENCE, queue.lock_owned())
            .await
            .ok()?;
        Some(Slot {
            stream: stream.clone(),
            _guard: guard,
        })
    }

    /// Takes the slot if it is free.
    pub(crate) fn try_take(&self, stream: &StreamId) -> Option<Slot> {
        let guard = self.queue(stream).try_lock_owned().ok()?;
        Some(Slot {
            stream: stream.clone(),
            _guard: guard,
        })
    }

    fn queue(&self, stream: &StreamId) -> Arc<AsyncMutex<()>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.by_stream.get(stream).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.by_stream.len() >= queues.sweep_at {
            queues.by_stream.retain(|_, queue| queue.strong_count() > 0);
            queues.sweep_at = (2 * queues.by_stream.len()).max(1024);
        }
        let queue = Arc::new(AsyncMutex::new(()));
        queues
            .by_stream
            .insert(stream.clone(), Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_slot_is_free_again_once_dropped() {
        let (slots, stream) = (Slots::default(), StreamId::new("Foo", Uuid::nil()));
        let first = slots.take(&stream).await;
        assert!(first.is_some());
        assert!(slots.try_take(&stream).is_none());
        drop(first);
        assert!(slots.try_take(&stream).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_goes_on_without() {
        let (slots, stream) = (Slots::default(), StreamId::new("Foo", Uuid::nil()));
        let _first = slots.take(&stream).await;
        assert!(slots.take(&stream).await.is_none());
    }
}
