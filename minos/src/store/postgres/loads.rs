//! Look-ups that come at once share a statement, as commits share a transaction.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{pool::Pool, read};
use crate::{
    message::Outcome,
    store::{Error, Head, Result, SagaRow, StreamId},
};

/// What is looked up one by one.
pub(super) trait Key: Clone + fmt::Debug + Send + Sync + 'static {
    type Found: fmt::Debug + Send + 'static;

    /// What stands under these, in their order.
    fn ask(
        pool: &Arc<Pool>,
        keys: &[Self],
    ) -> impl Future<Output = Result<Vec<Option<Self::Found>>>> + Send;
}

impl Key for StreamId {
    type Found = Head;

    async fn ask(pool: &Arc<Pool>, keys: &[Self]) -> Result<Vec<Option<Head>>> {
        read::load(pool, keys).await
    }
}

/// A saga, by its id.
impl Key for Uuid {
    type Found = SagaRow;

    async fn ask(pool: &Arc<Pool>, keys: &[Self]) -> Result<Vec<Option<SagaRow>>> {
        read::sagas_of(pool, keys).await
    }
}

/// What an inbox has of a message.
#[derive(Debug, Clone)]
pub(super) struct Handled {
    pub(super) consumer: String,
    pub(super) message: Uuid,
}

impl Key for Handled {
    type Found = Option<Outcome>;

    async fn ask(pool: &Arc<Pool>, keys: &[Self]) -> Result<Vec<Option<Option<Outcome>>>> {
        read::inbox(pool, keys).await
    }
}

/// How many statements are under way before the next look-ups wait for each other.
const AT_ONCE: usize = 2;
/// How many look-ups share a statement at most.
const MOST: usize = 64;

/// Look-ups of one kind in one store.
#[derive(Debug)]
pub(super) struct Loads<K: Key>(Mutex<State<K>>);

/// What is looked up, and who waits for it.
type Waiting<K> = (K, oneshot::Sender<Result<Option<<K as Key>::Found>>>);

#[derive(Debug)]
struct State<K: Key> {
    waiting: Vec<Waiting<K>>,
    running: usize,
}

impl<K: Key> Default for Loads<K> {
    fn default() -> Self {
        Self(Mutex::new(State {
            waiting: Vec::new(),
            running: 0,
        }))
    }
}

impl<K: Key> Loads<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What stands under one key.
    pub(super) async fn one(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        key: &K,
    ) -> Result<Option<K::Found>> {
        if let Some(_turn) = self.turn(pool) {
            return alone(pool, key).await;
        }
        let answered = self.wait(pool, key);
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => alone(pool, key).await,
        }
    }

    fn wait(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        key: &K,
    ) -> oneshot::Receiver<Result<Option<K::Found>>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.waiting.push((key.clone(), answer));
        // Whoever was under way may have ended since.
        let late = state.running < AT_ONCE;
        state.running += usize::from(late);
        drop(state);
        if late {
            drop(self.end(pool));
        }
        answered
    }

    fn turn(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Turn<K>> {
        let mut state = self.state();
        if state.running >= AT_ONCE || !state.waiting.is_empty() {
            return None;
        }
        state.running += 1;
        drop(state);
        Some(self.end(pool))
    }

    fn end(self: &Arc<Self>, pool: &Arc<Pool>) -> Turn<K> {
        Turn {
            loads: self.clone(),
            pool: pool.clone(),
        }
    }

    fn next(&self) -> Vec<Waiting<K>> {
        let mut state = self.state();
        let n = state.waiting.len().min(MOST);
        if n == 0 {
            state.running -= 1;
        }
        state.waiting.drain(..n).collect()
    }
}

/// One of those who may be under way; after it come those who have waited meanwhile.
struct Turn<K: Key> {
    loads: Arc<Loads<K>>,
    pool: Arc<Pool>,
}

impl<K: Key> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut batch = self.loads.next();
        if batch.is_empty() {
            return;
        }
        let (loads, pool) = (self.loads.clone(), self.pool.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // Whoever still waits asks for himself.
            while !batch.is_empty() {
                batch = loads.next();
            }
            return;
        };
        // In a task of its own: nobody's look-up ends with somebody else's.
        runtime.spawn(async move {
            while !batch.is_empty() {
                together(&pool, batch).await;
                batch = loads.next();
            }
        });
    }
}

async fn alone<K: Key>(pool: &Arc<Pool>, key: &K) -> Result<Option<K::Found>> {
    let found = K::ask(pool, std::slice::from_ref(key)).await?;
    Ok(found.into_iter().next().flatten())
}

async fn together<K: Key>(pool: &Arc<Pool>, batch: Vec<Waiting<K>>) {
    let (keys, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    match K::ask(pool, &keys).await {
        Ok(found) => {
            for (answer, found) in answers.into_iter().zip(found) {
                answer.send(Ok(found)).ok();
            }
        }
        Err(Error::Unavailable(cause)) => {
            for answer in answers {
                let cause = cause.to_string().into();
                answer.send(Err(Error::Unavailable(cause))).ok();
            }
        }
        // One of them may be at fault: each asks for itself.
        Err(_) => drop(answers),
    }
}
