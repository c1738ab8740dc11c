//! Look-ups of heads that come at once share a statement, as commits share a transaction.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::{pool::Pool, read};
use crate::store::{Error, Head, Result, StreamId};

/// How many statements are under way before the next look-ups wait for each other.
const AT_ONCE: usize = 2;
/// How many look-ups share a statement at most.
const MOST: usize = 64;

/// Look-ups of one store.
#[derive(Debug, Default)]
pub(super) struct Loads(Mutex<State>);

/// A stream, and who waits for it.
type Waiting = (StreamId, oneshot::Sender<Result<Option<Head>>>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    running: usize,
}

impl Loads {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Where one stream stands.
    pub(super) async fn one(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        stream: &StreamId,
    ) -> Result<Option<Head>> {
        if let Some(_turn) = self.turn(pool) {
            return alone(pool, stream).await;
        }
        let answered = self.wait(pool, stream);
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => alone(pool, stream).await,
        }
    }

    fn wait(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        stream: &StreamId,
    ) -> oneshot::Receiver<Result<Option<Head>>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.waiting.push((stream.clone(), answer));
        // Whoever was under way may have ended since.
        let late = state.running < AT_ONCE;
        state.running += usize::from(late);
        drop(state);
        if late {
            drop(self.end(pool));
        }
        answered
    }

    fn turn(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Turn> {
        let mut state = self.state();
        if state.running >= AT_ONCE || !state.waiting.is_empty() {
            return None;
        }
        state.running += 1;
        drop(state);
        Some(self.end(pool))
    }

    fn end(self: &Arc<Self>, pool: &Arc<Pool>) -> Turn {
        Turn {
            loads: self.clone(),
            pool: pool.clone(),
        }
    }

    fn next(&self) -> Vec<Waiting> {
        let mut state = self.state();
        let n = state.waiting.len().min(MOST);
        if n == 0 {
            state.running -= 1;
        }
        state.waiting.drain(..n).collect()
    }
}

/// One of those who may be under way; after it come those who have waited meanwhile.
struct Turn {
    loads: Arc<Loads>,
    pool: Arc<Pool>,
}

impl Drop for Turn {
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

async fn alone(pool: &Arc<Pool>, stream: &StreamId) -> Result<Option<Head>> {
    let heads = read::load(pool, std::slice::from_ref(stream)).await?;
    Ok(heads.into_iter().next().flatten())
}

async fn together(pool: &Arc<Pool>, batch: Vec<Waiting>) {
    let (streams, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    match read::load(pool, &streams).await {
        Ok(heads) => {
            for (answer, head) in answers.into_iter().zip(heads) {
                answer.send(Ok(head)).ok();
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
