//! The memory store, with faults on demand.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    message::{Message, Outcome},
    payload::Payload,
    store::{
        Cursor, DeadLetter, Error, Find, Guard, Head, LetterFilter, Old, Position, Result,
        SagaFilter, SagaRow, SqlTransaction, Store, StoredEvent, StreamId, Timer, UnitOfWork,
        memory,
    },
};

/// A store that fails when told to.
#[derive(Debug, Default)]
pub(super) struct Fickle {
    inner: memory::Store,
    /// What the next commits answer instead of doing anything, the last first.
    pub(super) faults: Mutex<Vec<Error>>,
    /// How many looks into the inbox say that nothing is there: another instance is about to commit.
    pub(super) blind: AtomicU32,
    pub(super) away: AtomicBool,
    pub(super) hangs: AtomicBool,
}

#[async_trait]
impl Store for Fickle {
    fn backend(&self) -> &'static str {
        "fickle"
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<()> {
        let fault = self.faults.lock().unwrap().pop();
        match fault {
            Some(fault) => Err(fault),
            None => self.inner.commit(unit).await,
        }
    }

    async fn inbox(&self, consumer: &str, message: Uuid) -> Result<Option<Option<Outcome>>> {
        let less = |n: u32| n.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.blind.fetch_update(order, order, less).is_ok() {
            return Ok(None);
        }
        self.inner.inbox(consumer, message).await
    }

    async fn health(&self) -> Result<()> {
        if self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("sqlx: /srv/foo.db is gone".into()));
        }
        self.inner.health().await
    }

    async fn begin(&self) -> Result<Box<dyn SqlTransaction>> {
        self.inner.begin().await
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Option<Head>>> {
        self.inner.load(streams).await
    }

    async fn find(&self, find: &Find) -> Result<Vec<(Uuid, Head)>> {
        self.inner.find(find).await
    }

    async fn stream(&self, stream: &StreamId, after: u64, limit: u32) -> Result<Vec<StoredEvent>> {
        self.inner.stream(stream, after, limit).await
    }

    async fn events(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>> {
        self.inner.events(after, limit).await
    }

    async fn last_position(&self) -> Result<Position> {
        self.inner.last_position().await
    }

    async fn outbox(&self, after: Position, limit: u32) -> Result<Vec<(Position, Message)>> {
        self.inner.outbox(after, limit).await
    }

    async fn trim_outbox(&self, upto: Position) -> Result<()> {
        self.inner.trim_outbox(upto).await
    }

    async fn cursor(&self, name: &str) -> Result<Cursor> {
        self.inner.cursor(name).await
    }

    async fn take_cursor(&self, name: &str) -> Result<Cursor> {
        self.inner.take_cursor(name).await
    }

    async fn move_cursor(&self, name: &str, from: Cursor, to: Position) -> Result<bool> {
        self.inner.move_cursor(name, from, to).await
    }

    async fn mark(&self, consumer: &str, stream: &StreamId) -> Result<Option<Guard>> {
        self.inner.mark(consumer, stream).await
    }

    async fn view(&self, view: &str, key: &str) -> Result<Option<Payload>> {
        self.inner.view(view, key).await
    }

    async fn find_views(&self, find: &Find) -> Result<Vec<(String, Payload)>> {
        self.inner.find_views(find).await
    }

    async fn saga(&self, id: Uuid) -> Result<Option<SagaRow>> {
        self.inner.saga(id).await
    }

    async fn sagas(&self, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
        self.inner.sagas(filter).await
    }

    async fn saga_history(&self, id: Uuid, limit: u32) -> Result<Vec<Payload>> {
        self.inner.saga_history(id, limit).await
    }

    async fn due_sagas(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SagaRow>> {
        self.inner.due_sagas(now, limit).await
    }

    async fn due_timers(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Timer>> {
        self.inner.due_timers(now, limit).await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        self.inner.next_due().await
    }

    async fn dead_letters(&self, filter: &LetterFilter) -> Result<Vec<(Position, DeadLetter)>> {
        self.inner.dead_letters(filter).await
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>> {
        self.inner.dead_letter(id).await
    }

    async fn count_dead_letters(&self, filter: &LetterFilter) -> Result<BTreeMap<String, u64>> {
        self.inner.count_dead_letters(filter).await
    }

    async fn first_parked(&self, consumer: &str, key: &str) -> Result<Option<DeadLetter>> {
        self.inner.first_parked(consumer, key).await
    }

    async fn purge(&self, old: &Old, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        self.inner.purge(old, before, limit).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
