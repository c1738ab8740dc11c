//! A store in memory, for tests: nothing survives the process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Cursor, DeadLetter, Error, Find, Guard, Head, LetterFilter, Old, Position, Result, SagaFilter,
    SagaRow, SqlTransaction, StoredEvent, StreamId, Timer, UnitOfWork, Write,
    facts::{Facts, Verdict},
};
use crate::{
    clock::micros,
    message::{Message, Outcome},
    payload::Payload,
};

/// A store in memory.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    facts: Facts,
    heads: BTreeMap<StreamId, Head>,
    events: Vec<StoredEvent>,
    streams: HashMap<StreamId, Vec<usize>>,
    outbox: BTreeMap<i64, Message>,
    /// How many messages there ever were: positions are never used twice.
    sent: i64,
    cursors: HashMap<String, Cursor>,
    views: HashMap<String, BTreeMap<String, Payload>>,
    sagas: HashMap<Uuid, SagaRow>,
    history: HashMap<Uuid, Vec<Payload>>,
    timers: HashMap<Uuid, Timer>,
    /// By place.
    dead_letters: BTreeMap<i64, DeadLetter>,
    /// How many dead letters there ever were.
    parked: i64,
    /// When inbox rows were written.
    handled: BTreeMap<(String, Uuid), DateTime<Utc>>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// The state. A panic of another thread cannot have left it half changed: nothing below panics half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl State {
    fn apply(&mut self, unit: &UnitOfWork) {
        self.facts.apply(unit);
        let at = micros(unit.at);
        for write in &unit.writes {
            self.write(write, at);
        }
        for message in &unit.outbox {
            self.sent += 1;
            self.outbox.insert(self.sent, stored(message));
        }
        for (saga, entries) in &unit.sagas {
            let row = SagaRow {
                due_at: saga.due_at.map(micros),
                created_at: micros(saga.created_at),
                updated_at: micros(saga.updated_at),
                ..saga.clone()
            };
            self.sagas.insert(row.id, row);
            let history = self.history.entry(saga.id).or_default();
            history.extend(entries.iter().cloned());
        }
        for id in &unit.fired {
            self.timers.remove(id);
        }
        for timer in &unit.timers {
            let timer = Timer {
                id: timer.id,
                due_at: micros(timer.due_at),
                message: stored(&timer.message),
            };
            self.timers.insert(timer.id, timer);
        }
        for write in &unit.views {
            let view = self.views.entry(write.view.clone()).or_default();
            match &write.row {
                Some(row) => view.insert(write.key.clone(), row.clone()),
                None => view.remove(&write.key),
            };
        }
        if let Some(inbox) = &unit.inbox {
            self.handled
                .insert((inbox.consumer.clone(), inbox.message), at);
        }
        self.park(unit);
    }

    fn write(&mut self, write: &Write, at: DateTime<Utc>) {
        let before = write.expected.map_or(0, |g| g.version);
        for (version, event) in (before + 1..).zip(&write.events) {
            let row = i64::try_from(self.events.len() + 1).unwrap_or(i64::MAX);
            let stream = self.streams.entry(write.stream.clone()).or_default();
            stream.push(self.events.len());
            self.events.push(StoredEvent {
                position: Position {
                    row,
                    ..Position::START
                },
                id: event.id,
                stream: write.stream.clone(),
                version,
                name: event.name.clone(),
                payload: event.payload.clone(),
                headers: event.headers.clone(),
                at,
            });
        }
        let Some(guard) = write.reached() else { return };
        let created_at = self.heads.get(&write.stream).map_or(at, |h| h.created_at);
        let head = Head {
            guard,
            state: write.state.clone(),
            created_at,
            updated_at: at,
        };
        self.heads.insert(write.stream.clone(), head);
    }

    /// A message that is taken back and parked again by one unit keeps its place in the queue.
    fn park(&mut self, unit: &UnitOfWork) {
        let again = |id| unit.dead_letters.iter().any(|d| d.id == id);
        self.dead_letters
            .retain(|_, d| !unit.revived.contains(&d.id) || again(d.id));
        for letter in &unit.dead_letters {
            let mut letter = DeadLetter {
                at: micros(letter.at),
                message: stored(&letter.message),
                ..letter.clone()
            };
            for trial in &mut letter.history {
                trial.at = micros(trial.at);
            }
            match self.dead_letters.values_mut().find(|d| d.id == letter.id) {
                Some(parked) => *parked = letter,
                None => {
                    self.parked += 1;
                    self.dead_letters.insert(self.parked, letter);
                }
            }
        }
    }

    fn purge(&mut self, old: &Old, before: DateTime<Utc>, limit: usize) -> usize {
        match old {
            Old::Inbox { .. } | Old::Inboxes { .. } => {
                let is_meant = |name: &str| match old {
                    Old::Inbox { consumer } => name == consumer,
                    Old::Inboxes { prefix } => name.starts_with(prefix),
                    Old::Sagas { .. } => false,
                };
                let rows = self.handled.iter();
                let gone: Vec<_> = rows
                    .filter(|((of, _), at)| is_meant(of) && **at < before)
                    .map(|(key, _)| key.clone())
                    .take(limit)
                    .collect();
                for key in &gone {
                    self.handled.remove(key);
                    self.facts.inbox.remove(key);
                }
                gone.len()
            }
            Old::Sagas { status } => {
                let rows = self.sagas.values();
                let gone: Vec<Uuid> = rows
                    .filter(|s| s.status == *status && s.due_at.is_none() && s.updated_at < before)
                    .map(|s| s.id)
                    .take(limit)
                    .collect();
                for id in &gone {
                    self.sagas.remove(id);
                    self.history.remove(id);
                    self.facts.sagas.remove(id);
                }
                gone.len()
            }
        }
    }
}

/// A message with a time that every backend can hold.
fn stored(message: &Message) -> Message {
    Message {
        at: micros(message.at),
        ..message.clone()
    }
}

/// At most so many.
fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// What [`Find`] asks for, out of everything.
fn select<I: Ord + Clone, T>(
    find: &Find,
    rows: impl Iterator<Item = (I, Payload, T)>,
) -> Result<Vec<(I, Payload, T)>> {
    let mut found = Vec::new();
    for (id, text, rest) in rows {
        let row: serde_json::Value = serde_json::from_str(text.as_str())
            .map_err(|e| Error::Corrupt(format!("a row of {} is not JSON: {e}", find.of)))?;
        if find.condition.holds(&row) {
            found.push((id, row, text, rest));
        }
    }
    found.sort_by(|a, b| find.compare((&a.0, &a.1), (&b.0, &b.1)));
    let page = found.into_iter().skip(count(find.offset));
    Ok(page
        .take(count(find.limit))
        .map(|(id, _, text, rest)| (id, text, rest))
        .collect())
}

#[async_trait]
impl super::Store for Store {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<()> {
        unit.validate()?;
        let mut state = self.state();
        if state.facts.check(&unit)? == Verdict::Apply && !unit.is_empty() {
            state.apply(&unit);
            drop(state);
            self.changes.send_modify(|n| *n += 1);
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Box<dyn SqlTransaction>> {
        Err(Error::Unsupported(
            "the memory store has no SQL; use the `sqlite` or the `postgres` store for `cx.sql()`"
                .to_owned(),
        ))
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Option<Head>>> {
        let state = self.state();
        Ok(streams
            .iter()
            .map(|s| state.heads.get(s).cloned())
            .collect())
    }

    async fn find(&self, find: &Find) -> Result<Vec<(Uuid, Head)>> {
        let state = self.state();
        let living = state.heads.iter().filter_map(|(stream, head)| {
            let state = head.state.clone()?;
            (stream.aggregate == find.of).then(|| (stream.id, state, head.clone()))
        });
        let found = select(find, living)?;
        Ok(found.into_iter().map(|(id, _, head)| (id, head)).collect())
    }

    async fn stream(&self, stream: &StreamId, after: u64, limit: u32) -> Result<Vec<StoredEvent>> {
        let state = self.state();
        let rows = state.streams.get(stream).into_iter().flatten();
        Ok(rows
            .map(|row| state.events[*row].clone())
            .filter(|e| e.version > after)
            .take(count(limit))
            .collect())
    }

    async fn events(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>> {
        let state = self.state();
        let first = state.events.partition_point(|e| e.position <= after);
        let rows = state.events[first..].iter();
        Ok(rows.take(count(limit)).cloned().collect())
    }

    async fn last_position(&self) -> Result<Position> {
        let state = self.state();
        Ok(state.events.last().map_or(Position::START, |e| e.position))
    }

    async fn outbox(&self, after: Position, limit: u32) -> Result<Vec<(Position, Message)>> {
        let state = self.state();
        let rows = state.outbox.iter().map(|(row, message)| {
            let position = Position {
                row: *row,
                ..Position::START
            };
            (position, message)
        });
        Ok(rows
            .filter(|(position, _)| *position > after)
            .take(count(limit))
            .map(|(position, message)| (position, message.clone()))
            .collect())
    }

    async fn trim_outbox(&self, upto: Position) -> Result<()> {
        self.state().outbox.retain(|row, _| *row > upto.row);
        Ok(())
    }

    async fn cursor(&self, name: &str) -> Result<Cursor> {
        Ok(self.state().cursors.get(name).copied().unwrap_or_default())
    }

    async fn take_cursor(&self, name: &str) -> Result<Cursor> {
        let mut state = self.state();
        let cursor = state.cursors.entry(name.to_owned()).or_default();
        cursor.fence += 1;
        Ok(*cursor)
    }

    async fn move_cursor(&self, name: &str, from: Cursor, to: Position) -> Result<bool> {
        let mut state = self.state();
        let cursor = state.cursors.entry(name.to_owned()).or_default();
        let holds = *cursor == from;
        if holds {
            cursor.position = to;
        }
        Ok(holds)
    }

    async fn inbox(&self, consumer: &str, message: Uuid) -> Result<Option<Option<Outcome>>> {
        let state = self.state();
        let row = state.facts.inbox.get(&(consumer.to_owned(), message));
        Ok(row.map(|(_, outcome)| outcome.clone()))
    }

    async fn mark(&self, consumer: &str, stream: &StreamId) -> Result<Option<Guard>> {
        let state = self.state();
        let row = state
            .facts
            .marks
            .get(&(consumer.to_owned(), stream.clone()));
        Ok(row.map(|(at, _)| *at))
    }

    async fn view(&self, view: &str, key: &str) -> Result<Option<Payload>> {
        let state = self.state();
        Ok(state.views.get(view).and_then(|v| v.get(key)).cloned())
    }

    async fn find_views(&self, find: &Find) -> Result<Vec<(String, Payload)>> {
        let state = self.state();
        let rows = state.views.get(&find.of).into_iter().flatten();
        let rows = rows.map(|(key, row)| (key.clone(), row.clone(), ()));
        let found = select(find, rows)?;
        Ok(found.into_iter().map(|(key, row, ())| (key, row)).collect())
    }

    async fn saga(&self, id: Uuid) -> Result<Option<SagaRow>> {
        Ok(self.state().sagas.get(&id).cloned())
    }

    async fn sagas(&self, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
        let state = self.state();
        let wanted = |own: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|w| w == own);
        let mut rows: Vec<_> = state.sagas.values().cloned().collect();
        rows.retain(|s| wanted(&s.status, &filter.status) && wanted(&s.name, &filter.name));
        rows.sort_by_key(|s| std::cmp::Reverse((s.created_at, s.id)));
        rows.truncate(count(filter.limit));
        Ok(rows)
    }

    async fn saga_history(&self, id: Uuid, limit: u32) -> Result<Vec<Payload>> {
        let state = self.state();
        let lines = state.history.get(&id).map_or(&[][..], Vec::as_slice);
        Ok(lines[lines.len().saturating_sub(count(limit))..].to_vec())
    }

    async fn due_sagas(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SagaRow>> {
        let state = self.state();
        let mut rows: Vec<_> = state.sagas.values().cloned().collect();
        rows.retain(|s| s.due_at.is_some_and(|due| due <= now));
        rows.sort_by_key(|s| (s.due_at, s.id));
        rows.truncate(count(limit));
        Ok(rows)
    }

    async fn due_timers(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Timer>> {
        let state = self.state();
        let mut rows: Vec<_> = state.timers.values().cloned().collect();
        rows.retain(|t| t.due_at <= now);
        rows.sort_by_key(|t| (t.due_at, t.id));
        rows.truncate(count(limit));
        Ok(rows)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        let state = self.state();
        let sagas = state.sagas.values().filter_map(|s| s.due_at);
        let timers = state.timers.values().map(|t| t.due_at);
        Ok(sagas.chain(timers).min())
    }

    async fn dead_letters(&self, filter: &LetterFilter) -> Result<Vec<(Position, DeadLetter)>> {
        let state = self.state();
        let rows = state.dead_letters.iter().map(|(row, letter)| {
            let place = Position {
                row: *row,
                ..Position::START
            };
            (place, letter)
        });
        Ok(rows
            .filter(|(place, letter)| *place > filter.after && filter.fits(letter))
            .take(count(filter.limit))
            .map(|(place, letter)| (place, letter.clone()))
            .collect())
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>> {
        let state = self.state();
        let mut rows = state.dead_letters.values();
        Ok(rows.find(|d| d.id == id).cloned())
    }

    async fn count_dead_letters(&self, filter: &LetterFilter) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for letter in self.state().dead_letters.values() {
            if filter.fits(letter) {
                *counts.entry(letter.consumer.clone()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    async fn first_parked(&self, consumer: &str, key: &str) -> Result<Option<DeadLetter>> {
        let state = self.state();
        let rows = state.dead_letters.values();
        let mine = rows.filter(|d| d.consumer == consumer && d.key == key);
        Ok(mine.min_by_key(|d| d.version()).cloned())
    }

    async fn purge(&self, old: &Old, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let gone = self.state().purge(old, before, count(limit));
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {}
}
