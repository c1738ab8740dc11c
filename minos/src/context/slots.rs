//! One queue per hot aggregate, so that its handlers wait for each other instead of colliding.
//!
//! Slots save work; they are not what keeps the data right (the guard of the commit is). So a slot is waited for
//! only so long, and whoever waited too long goes on without. What happens between a handler's end and its commit
//! is told in `chain`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;

use super::chain::Chain;
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
    by_stream: HashMap<StreamId, Weak<Chain>>,
    sweep_at: usize,
}

/// A slot that is held; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Slot {
    stream: StreamId,
    chain: Arc<Chain>,
    _turn: OwnedMutexGuard<()>,
}

impl Slot {
    fn new(stream: &StreamId, chain: Arc<Chain>, turn: OwnedMutexGuard<()>) -> Self {
        Self {
            stream: stream.clone(),
            chain,
            _turn: turn,
        }
    }
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

    /// The units of this aggregate that are on their way, if its slot is held.
    pub(crate) fn chain(&self, stream: &StreamId) -> Option<&Arc<Chain>> {
        let slot = self.0.iter().find(|s| s.stream == *stream)?;
        Some(&slot.chain)
    }

    /// The only slot that is held.
    pub(crate) fn only(&self) -> Option<(&StreamId, &Arc<Chain>)> {
        match self.0.as_slice() {
            [slot] => Some((&slot.stream, &slot.chain)),
            _ => None,
        }
    }

    pub(crate) fn add(&mut self, slot: Slot) {
        self.0.push(slot);
    }
}

impl Slots {
    /// Waits for the slot; [`None`] if that takes too long.
    pub(crate) async fn take(&self, stream: &StreamId) -> Option<Slot> {
        let chain = self.chain(stream);
        let turn = tokio::time::timeout(PATIENCE, chain.turn.clone().lock_owned())
            .await
            .ok()?;
        Some(Slot::new(stream, chain, turn))
    }

    /// Takes the slot if it is free.
    pub(crate) fn try_take(&self, stream: &StreamId) -> Option<Slot> {
        let chain = self.chain(stream);
        let turn = chain.turn.clone().try_lock_owned().ok()?;
        Some(Slot::new(stream, chain, turn))
    }

    fn chain(&self, stream: &StreamId) -> Arc<Chain> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chain) = queues.by_stream.get(stream).and_then(Weak::upgrade) {
            return chain;
        }
        if queues.by_stream.len() >= queues.sweep_at {
            queues.by_stream.retain(|_, chain| chain.strong_count() > 0);
            queues.sweep_at = (2 * queues.by_stream.len()).max(1024);
        }
        let chain = Arc::new(Chain::default());
        queues
            .by_stream
            .insert(stream.clone(), Arc::downgrade(&chain));
        chain
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
