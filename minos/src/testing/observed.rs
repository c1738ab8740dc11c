//! A store and a broker with somebody looking on, who may also trip them up.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    broker::{self, Broker, Delivery, Origin, Subscription, Undecodable},
    message::{Message, Outcome},
    payload::Payload,
    store::{
        self, Cursor, DeadLetter, Find, Guard, Head, LetterFilter, Old, Position, SagaFilter,
        SagaRow, SqlConnection, SqlTransaction, Store, StoredEvent, StreamId, Timer, UnitOfWork,
    },
};

/// Something that is made durable.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Moment<'a> {
    /// A unit of work is committed.
    Commit(&'a UnitOfWork),
    /// A reader's cursor moves.
    Cursor(&'a str),
    /// Messages are published.
    Publish(&'a [Message]),
    /// A consumer's offsets move.
    Offsets(&'a [Origin]),
}

/// Looks on, on both sides of every moment. What does not return ends there what was going on.
#[async_trait]
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Before it is done.
    async fn before(&self, moment: Moment<'_>);

    /// After it was done.
    async fn after(&self, moment: Moment<'_>);

    /// A group of the broker is joined.
    fn joined(&self, group: &str, topics: &[String]) {
        let _ = (group, topics);
    }

    /// A member of a group got these.
    fn delivered(&self, group: &str, deliveries: &[Delivery]) {
        let _ = (group, deliveries);
    }

    /// A member of a group is about to commit that everything up to these is done.
    fn done(&self, group: &str, done: &[Origin]) {
        let _ = (group, done);
    }
}

/// A store that an observer looks at.
#[derive(Debug)]
pub struct ObservedStore {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
}

impl ObservedStore {
    /// Puts the observer before the store.
    pub fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self { store, observer }
    }
}

#[derive(Debug)]
struct ObservedTransaction {
    transaction: Box<dyn SqlTransaction>,
    observer: Arc<dyn Observer>,
}

#[async_trait]
impl SqlTransaction for ObservedTransaction {
    async fn connection(&self) -> store::Result<Box<dyn SqlConnection>> {
        self.transaction.connection().await
    }

    async fn commit(self: Box<Self>, unit: UnitOfWork) -> store::Result<()> {
        self.observer.before(Moment::Commit(&unit)).await;
        let copy = unit.clone();
        self.transaction.commit(unit).await?;
        self.observer.after(Moment::Commit(&copy)).await;
        Ok(())
    }
}

#[async_trait]
impl Store for ObservedStore {
    fn backend(&self) -> &'static str {
        self.store.backend()
    }

    async fn commit(&self, unit: UnitOfWork) -> store::Result<()> {
        self.observer.before(Moment::Commit(&unit)).await;
        self.store.commit(unit.clone()).await?;
        self.observer.after(Moment::Commit(&unit)).await;
        Ok(())
    }

    async fn begin(&self) -> store::Result<Box<dyn SqlTransaction>> {
        let transaction = self.store.begin().await?;
        Ok(Box::new(ObservedTransaction {
            transaction,
            observer: self.observer.clone(),
        }))
    }

    async fn load(&self, streams: &[StreamId]) -> store::Result<Vec<Option<Head>>> {
        self.store.load(streams).await
    }

    async fn find(&self, find: &Find) -> store::Result<Vec<(Uuid, Head)>> {
        self.store.find(find).await
    }

    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: u32,
    ) -> store::Result<Vec<StoredEvent>> {
        self.store.stream(stream, after, limit).await
    }

    async fn events(&self, after: Position, limit: u32) -> store::Result<Vec<StoredEvent>> {
        self.store.events(after, limit).await
    }

    async fn last_position(&self) -> store::Result<Position> {
        self.store.last_position().await
    }

    async fn outbox(&self, after: Position, limit: u32) -> store::Result<Vec<(Position, Message)>> {
        self.store.outbox(after, limit).await
    }

    async fn trim_outbox(&self, upto: Position) -> store::Result<()> {
        self.store.trim_outbox(upto).await
    }

    async fn cursor(&self, name: &str) -> store::Result<Cursor> {
        self.store.cursor(name).await
    }

    async fn take_cursor(&self, name: &str) -> store::Result<Cursor> {
        self.store.take_cursor(name).await
    }

    async fn move_cursor(&self, name: &str, from: Cursor, to: Position) -> store::Result<bool> {
        self.observer.before(Moment::Cursor(name)).await;
        let moved = self.store.move_cursor(name, from, to).await?;
        self.observer.after(Moment::Cursor(name)).await;
        Ok(moved)
    }

    async fn inbox(&self, consumer: &str, message: Uuid) -> store::Result<Option<Option<Outcome>>> {
        self.store.inbox(consumer, message).await
    }

    async fn mark(&self, consumer: &str, stream: &StreamId) -> store::Result<Option<Guard>> {
        self.store.mark(consumer, stream).await
    }

    async fn view(&self, view: &str, key: &str) -> store::Result<Option<Payload>> {
        self.store.view(view, key).await
    }

    async fn find_views(&self, find: &Find) -> store::Result<Vec<(String, Payload)>> {
        self.store.find_views(find).await
    }

    async fn saga(&self, id: Uuid) -> store::Result<Option<SagaRow>> {
        self.store.saga(id).await
    }

    async fn sagas(&self, filter: &SagaFilter) -> store::Result<Vec<SagaRow>> {
        self.store.sagas(filter).await
    }

    async fn saga_history(&self, id: Uuid, limit: u32) -> store::Result<Vec<Payload>> {
        self.store.saga_history(id, limit).await
    }

    async fn due_sagas(&self, now: DateTime<Utc>, limit: u32) -> store::Result<Vec<SagaRow>> {
        self.store.due_sagas(now, limit).await
    }

    async fn due_timers(&self, now: DateTime<Utc>, limit: u32) -> store::Result<Vec<Timer>> {
        self.store.due_timers(now, limit).await
    }

    async fn next_due(&self) -> store::Result<Option<DateTime<Utc>>> {
        self.store.next_due().await
    }

    async fn dead_letters(
        &self,
        filter: &LetterFilter,
    ) -> store::Result<Vec<(Position, DeadLetter)>> {
        self.store.dead_letters(filter).await
    }

    async fn dead_letter(&self, id: Uuid) -> store::Result<Option<DeadLetter>> {
        self.store.dead_letter(id).await
    }

    async fn count_dead_letters(
        &self,
        filter: &LetterFilter,
    ) -> store::Result<BTreeMap<String, u64>> {
        self.store.count_dead_letters(filter).await
    }

    async fn first_parked(&self, consumer: &str, key: &str) -> store::Result<Option<DeadLetter>> {
        self.store.first_parked(consumer, key).await
    }

    async fn purge(&self, old: &Old, before: DateTime<Utc>, limit: u32) -> store::Result<u64> {
        self.store.purge(old, before, limit).await
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.changes()
    }

    async fn health(&self) -> store::Result<()> {
        self.store.health().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// A broker that an observer looks at.
#[derive(Debug)]
pub struct ObservedBroker {
    broker: Arc<dyn Broker>,
    observer: Arc<dyn Observer>,
}

impl ObservedBroker {
    /// Puts the observer before the broker.
    pub fn new(broker: Arc<dyn Broker>, observer: Arc<dyn Observer>) -> Self {
        Self { broker, observer }
    }
}

#[async_trait]
impl Broker for ObservedBroker {
    fn backend(&self) -> &'static str {
        self.broker.backend()
    }

    async fn ensure_topics(&self, topics: &[String]) -> broker::Result<()> {
        self.broker.ensure_topics(topics).await
    }

    async fn publish(&self, messages: &[Message]) -> broker::Result<()> {
        self.observer.before(Moment::Publish(messages)).await;
        self.broker.publish(messages).await?;
        self.observer.after(Moment::Publish(messages)).await;
        Ok(())
    }

    async fn subscribe(
        &self,
        group: &str,
        topics: &[String],
    ) -> broker::Result<Box<dyn Subscription>> {
        let subscription = self.broker.subscribe(group, topics).await?;
        self.observer.joined(group, topics);
        Ok(Box::new(ObservedSubscription {
            group: group.to_owned(),
            subscription,
            observer: self.observer.clone(),
        }))
    }

    fn decode(&self, origin: &Origin, bytes: &[u8]) -> Result<Message, Undecodable> {
        self.broker.decode(origin, bytes)
    }

    async fn health(&self) -> broker::Result<()> {
        self.broker.health().await
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

#[derive(Debug)]
struct ObservedSubscription {
    group: String,
    subscription: Box<dyn Subscription>,
    observer: Arc<dyn Observer>,
}

#[async_trait]
impl Subscription for ObservedSubscription {
    async fn next(&mut self, max: usize) -> broker::Result<Vec<Delivery>> {
        let deliveries = self.subscription.next(max).await?;
        self.observer.delivered(&self.group, &deliveries);
        Ok(deliveries)
    }

    async fn commit(&mut self, done: &[Origin]) -> broker::Result<()> {
        self.observer.before(Moment::Offsets(done)).await;
        self.observer.done(&self.group, done);
        self.subscription.commit(done).await?;
        self.observer.after(Moment::Offsets(done)).await;
        Ok(())
    }
}
