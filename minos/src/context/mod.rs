//! The unit of work: the only door to effects.

mod chain;
mod core;
mod run;
mod slots;
mod staged;
#[cfg(test)]
mod tests;

use std::{any::Any, fmt, sync::Mutex};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::{chain::Lean, slots::Held, staged::Staged};
pub(crate) use self::{
    core::{Core, Limits, Soon},
    run::{Call, Job, Work, run},
    slots::Slots,
    staged::Snapshot,
};
use crate::{
    enroute::{Accepted, Role},
    error::{Error, Kind, Result},
    message::{self, Contract, ContractKind, Headers, Message},
    payload::Payload,
    saga::{self, Saga, SagaId, Signal},
    store::{Claim, Find, Head, SqlTransaction, StreamId, Timer, UnitOfWork},
};

/// Where a unit of work comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The message that it handles.
    pub(crate) message: Option<Uuid>,
    /// What all of one request from outside has in common.
    pub(crate) correlation: Option<Uuid>,
    /// For whom it runs.
    pub(crate) user: Option<Uuid>,
    /// The trace that it belongs to.
    pub(crate) traceparent: Option<String>,
}

/// The unit of work of one handler call.
///
/// Whatever a handler does through its context commits at once when the handler returns `Ok`, and not at all when
/// it returns `Err`, panics, or is dropped. On a version conflict the handler runs again in a new unit of work, so
/// what it does beside the context may happen more than once.
///
/// A context is shared (`&Context`): look-ups may be joined. It cannot outlive its handler.
pub struct Context {
    core: std::sync::Arc<Core>,
    role: Role,
    origin: Origin,
    at: DateTime<Utc>,
    attempt: u32,
    // A std mutex: it is never held over an await.
    staged: Mutex<Staged>,
    held: Mutex<Held>,
    leans: Mutex<Vec<Lean>>,
    pub(crate) sql: tokio::sync::Mutex<Option<Box<dyn SqlTransaction>>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("service", &self.core.name)
            .field("at", &self.at)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(
        core: &std::sync::Arc<Core>,
        role: Role,
        origin: Origin,
        attempt: u32,
    ) -> Self {
        Self {
            at: core.clock.now(),
            core: core.clone(),
            role,
            origin,
            attempt,
            staged: Mutex::default(),
            held: Mutex::default(),
            leans: Mutex::default(),
            sql: tokio::sync::Mutex::new(None),
        }
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.core.name
    }

    /// The time of this unit of work: it stands still while the handler runs.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.at
    }

    /// A new id.
    #[must_use]
    pub fn new_uuid(&self) -> Uuid {
        self.core.clock.new_uuid()
    }

    /// For whom this runs, if that is known.
    #[must_use]
    pub fn user(&self) -> Option<Uuid> {
        self.origin.user
    }

    /// How often this handler ran before for the same message, because what it read had moved.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// A shared value that was given to the service.
    ///
    /// # Errors
    /// [`Kind::Config`] if there is none of this type.
    pub fn resource<T: Any + Send + Sync>(&self) -> Result<&T> {
        self.core.resources.get()
    }

    /// Sends a command; it leaves with the unit of work.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] in a query service.
    pub fn send<C: Contract>(&self, command: C) -> Result<()> {
        const {
            assert!(
                matches!(C::KIND, ContractKind::Command),
                "`send` takes commands"
            )
        };
        self.stage_message(message::Kind::Command, C::NAME, &command, None)
    }

    /// Publishes an event that is not an aggregate's own; it leaves with the unit of work.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] in a query service.
    pub fn publish<C: Contract>(&self, event: C) -> Result<()> {
        const {
            assert!(
                matches!(C::KIND, ContractKind::Event),
                "`publish` takes `#[contract(event)]`s"
            )
        };
        self.stage_message(message::Kind::Event, C::NAME, &event, None)
    }

    /// Sends a command at a later time; the timer is set with the unit of work.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] in a query service.
    pub fn schedule<C: Contract>(&self, at: DateTime<Utc>, command: C) -> Result<()> {
        const {
            assert!(
                matches!(C::KIND, ContractKind::Command),
                "`schedule` takes commands"
            )
        };
        self.stage_message(message::Kind::Command, C::NAME, &command, Some(at))
    }

    /// Starts a saga with the unit of work; answers its id.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] in a query service.
    pub fn start<S: Saga>(&self, state: S) -> Result<Accepted<SagaId>> {
        self.writable("start")?;
        self.begin(self.new_uuid(), &state)
    }

    /// Starts a saga with the unit of work, unless it was started with this key before: its id is
    /// [`SagaId::of`] the key. Of two that start it at the same time one does.
    ///
    /// That it was started is known for as long as the run is remembered (`runtime.inbox_retention` after its end).
    ///
    /// # Errors
    /// [`Kind::Forbidden`] in a query service; or if the store fails.
    pub async fn start_once<S: Saga>(
        &self,
        key: impl fmt::Display,
        state: S,
    ) -> Result<Accepted<SagaId>> {
        self.writable("start")?;
        let id = SagaId::of::<S>(key);
        if self.store().saga(id.saga).await?.is_some() {
            return Ok(Accepted(id));
        }
        self.begin(id.saga, &state)
    }

    fn begin<S: Saga>(&self, id: Uuid, state: &S) -> Result<Accepted<SagaId>> {
        let flow = saga::flow::of::<S>();
        let moved = saga::machine::start(&*flow, id, Payload::encode(state)?, &self.env())?;
        let mut staged = self.staged();
        // Another call of this unit may have come first while this one looked.
        if staged.sagas.iter().any(|(row, _)| row.id == id) {
            return Ok(Accepted(SagaId { saga: id }));
        }
        staged.sagas.push((moved.row, moved.history));
        staged.sagas.extend(moved.children);
        staged.outbox.extend(moved.messages);
        Ok(Accepted(SagaId { saga: id }))
    }

    /// Sends a signal to a saga of this service: a step that waits for it goes on. It leaves with the unit of work.
    ///
    /// One that comes before its step is kept until the step is reached (16 of them); one that nobody waits for, or
    /// will, is noted in the saga's history and ignored. A handler of an event tells a saga about it in this way.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] in a query service, [`Kind::Wiring`] in a service that has no sagas.
    pub fn signal<C: Signal>(&self, saga: SagaId, content: C) -> Result<()> {
        self.signal_as(saga, C::NAME, Payload::encode(&content)?)
    }

    pub(crate) fn signal_as(&self, saga: SagaId, name: &str, payload: Payload) -> Result<()> {
        self.writable("signal")?;
        if self.core.sagas.is_empty() {
            let text = format!("the service `{}` has no saga to signal", self.core.name);
            return Err(Error::new(Kind::Wiring, text));
        }
        let message = Message {
            id: self.new_uuid(),
            kind: message::Kind::Signal,
            topic: message::replies_topic(&self.core.name),
            name: name.to_owned(),
            key: saga.saga.to_string(),
            at: self.at,
            headers: Headers {
                saga: Some(saga.saga),
                ..self.headers()
            },
            payload,
        };
        self.staged().outbox.push(message);
        Ok(())
    }

    fn stage_message<T: serde::Serialize>(
        &self,
        kind: message::Kind,
        name: &str,
        content: &T,
        due_at: Option<DateTime<Utc>>,
    ) -> Result<()> {
        self.writable("send")?;
        let id = self.new_uuid();
        let message = Message {
            id,
            kind,
            topic: name.to_owned(),
            name: name.to_owned(),
            key: id.to_string(),
            at: self.at,
            headers: self.headers(),
            payload: Payload::encode(content)?,
        };
        let mut staged = self.staged();
        match due_at {
            None => staged.outbox.push(message),
            Some(due_at) => {
                let due_at = crate::clock::micros(due_at);
                staged.timers.push(Timer {
                    id,
                    due_at,
                    message,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn stage_view(&self, write: crate::store::ViewWrite) {
        let mut staged = self.staged();
        // The last write of a row counts.
        staged
            .views
            .retain(|w| (&w.view, &w.key) != (&write.view, &write.key));
        staged.views.push(write);
    }

    pub(crate) fn staged_view(&self, view: &str, key: &str) -> Option<Option<Payload>> {
        let staged = self.staged();
        let last = staged
            .views
            .iter()
            .rev()
            .find(|w| w.view == view && w.key == key);
        last.map(|w| w.row.clone())
    }

    pub(crate) fn store(&self) -> &dyn crate::store::Store {
        &*self.core.store
    }

    /// Stages one event of an aggregate that stands at `version`; answers the event's time.
    pub(crate) fn stage_event(
        &self,
        stream: &StreamId,
        version: u64,
        event: (String, Payload),
        state: Option<Payload>,
        claims: Vec<Claim>,
    ) -> Result<DateTime<Utc>> {
        self.writable("change an aggregate")?;
        let (id, headers) = (self.new_uuid(), self.headers());
        self.staged().event(
            stream,
            version,
            self.at,
            crate::store::NewEvent {
                id,
                name: event.0,
                payload: event.1,
                headers,
            },
            state,
            claims,
        )?;
        Ok(self.at)
    }

    /// Reads an aggregate as this unit of work sees it, and guards it.
    pub(crate) async fn track(&self, stream: &StreamId) -> Result<Option<Snapshot>> {
        if let Some(known) = self.staged().known(stream) {
            return Ok(known);
        }
        self.queue(stream).await;
        if let Some((head, lean)) = self.on_its_way(stream) {
            self.leans
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(lean);
            return Ok(self.staged().loaded(stream, Some(head)));
        }
        let head = self
            .core
            .store
            .load(std::slice::from_ref(stream))
            .await?
            .pop()
            .flatten();
        Ok(self.staged().loaded(stream, head))
    }

    /// Looks for aggregates, with what this unit of work staged.
    pub(crate) async fn find_tracked(&self, find: &Find) -> Result<Vec<(Uuid, Snapshot)>> {
        let changed = u32::try_from(self.staged().changed(&find.of)).unwrap_or(u32::MAX);
        // What is staged may leave the answer: take enough to fill it, and cut it to size afterwards.
        let limit = match changed {
            0 => find.limit,
            n => find.offset.saturating_add(find.limit).saturating_add(n),
        };
        let offset = if changed == 0 { find.offset } else { 0 };
        let found = self
            .core
            .store
            .find(&Find {
                limit,
                offset,
                ..find.clone()
            })
            .await?;
        if changed == 0 {
            let whole = Find {
                offset: 0,
                ..find.clone()
            };
            return Ok(self.staged().found(&whole, found));
        }
        Ok(self.staged().found(find, found))
    }

    /// Waits for the aggregate's slot, so that handlers of one hot aggregate queue instead of colliding.
    ///
    /// At most one slot is waited for, and only while none is held: nobody can wait in a circle.
    async fn queue(&self, stream: &StreamId) {
        if self.role == Role::Query {
            return;
        }
        let (holds, has) = {
            let held = self.held();
            (!held.is_empty(), held.has(stream))
        };
        if has {
            return;
        }
        let sql_open = self.sql.try_lock().map_or(true, |sql| sql.is_some());
        let slot = if holds || sql_open {
            self.core.slots.try_take(stream)
        } else {
            self.core.slots.take(stream).await
        };
        if let Some(slot) = slot {
            self.held().add(slot);
        }
    }

    /// What the units before this one will have made of an aggregate, if they are not durable yet. A transaction of
    /// user SQL does not see them, so nothing may be decided on them there.
    fn on_its_way(&self, stream: &StreamId) -> Option<(Head, Lean)> {
        if self.sql.try_lock().map_or(true, |sql| sql.is_some()) {
            return None;
        }
        self.held().chain(stream)?.tip()
    }

    /// A rerun takes all slots of the run before, in order.
    pub(crate) async fn queue_all(&self, streams: &[StreamId]) {
        if self.role == Role::Query {
            return;
        }
        for stream in streams {
            if let Some(slot) = self.core.slots.take(stream).await {
                self.held().add(slot);
            }
        }
    }

    /// The headers of whatever leaves this unit of work.
    pub(crate) fn headers(&self) -> Headers {
        Headers {
            source: self.core.name.clone(),
            correlation: self.correlation(),
            causation: self.origin.message,
            user: self.origin.user,
            traceparent: self.origin.traceparent.clone(),
            ..Headers::default()
        }
    }

    fn env(&self) -> saga::machine::Env<'_> {
        saga::machine::Env {
            now: self.at,
            clock: &*self.core.clock,
            headers: self.headers(),
            owner: crate::clock::process(),
            sagas: &self.core.sagas,
        }
    }

    fn correlation(&self) -> Option<Uuid> {
        self.origin.correlation.or(self.origin.message)
    }

    fn writable(&self, what: &str) -> Result<()> {
        match self.role {
            Role::Command => Ok(()),
            Role::Query => Err(Error::new(
                Kind::Forbidden,
                format!(
                    "a query service cannot {what}: its handlers may be repeated to rebuild a view; move \
                         this to a command service"
                ),
            )),
        }
    }

    fn staged(&self) -> std::sync::MutexGuard<'_, Staged> {
        self.staged
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What was staged, as one unit; and what it holds.
    pub(crate) fn finish(self) -> Finished {
        let staged = self
            .staged
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let held = self
            .held
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let leans = self
            .leans
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (unit, makes) = staged.into_unit(self.core.clock.new_uuid(), self.at);
        Finished {
            unit,
            makes,
            sql: self.sql.into_inner(),
            held,
            leans,
        }
    }
}

/// A unit of work whose handler returned.
pub(crate) struct Finished {
    pub(crate) unit: UnitOfWork,
    /// What it makes of the last aggregate that it writes.
    pub(crate) makes: Option<Head>,
    pub(crate) sql: Option<Box<dyn SqlTransaction>>,
    pub(crate) held: Held,
    /// What it read before that was durable.
    pub(crate) leans: Vec<Lean>,
}
