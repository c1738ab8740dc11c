//! The one writer of a process: what is asked for at the same time shares a transaction.

use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Duration};

use sqlx::{Connection, Row, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    Options, error,
    file::{File, Retry},
    lease,
    member::{Member, Place},
    topic::{Hub, Topic},
};
use crate::{broker::Result, clock::Clock};

/// How many requests may wait for the writer before those who ask have to wait themselves.
const QUEUE: usize = 1024;
/// The most messages of one transaction, unless one publication has more.
const ROWS: usize = 4096;
/// How often a busy process looks for changes by others.
const BUSY_POLL: Duration = Duration::from_millis(20);

/// The bytes of all messages come as one blob, where each stands as JSON: nothing is quoted, nothing unquoted.
const INSERT: &str = "
    INSERT INTO messages (topic, partition, format, stored_at, envelope, payload)
    SELECT
        value ->> 0, value ->> 1, ?3, ?4,
        substr(?2, value ->> 2, value ->> 3),
        substr(?2, (value ->> 2) + (value ->> 3), value ->> 4)
    FROM json_each(?1)";

/// Whoever lost a partition does not match any more, in the same statement.
const COMMIT: &str = "
    UPDATE cursors SET committed = done.value ->> 4
    FROM json_each(?1) AS done
    WHERE of_group = done.value ->> 0 AND topic = done.value ->> 1 AND partition = done.value ->> 2
        AND owner = done.value ->> 3 AND committed < done.value ->> 4";

/// Messages that are written together.
#[derive(Default)]
pub(super) struct Chunk {
    rows: Vec<RowAt>,
    pub(super) bytes: Vec<u8>,
}

/// One message of a chunk: where it goes, and the sizes of its two parts.
struct RowAt {
    topic: Arc<Topic>,
    partition: u32,
    envelope: usize,
    payload: usize,
}

impl Chunk {
    pub(super) fn push(
        &mut self,
        topic: Arc<Topic>,
        partition: u32,
        (envelope, payload): (usize, usize),
        bytes: &[u8],
    ) {
        self.rows.push(RowAt {
            topic,
            partition,
            envelope,
            payload,
        });
        self.bytes.extend_from_slice(bytes);
    }

    fn append(&mut self, mut other: Chunk) {
        if self.rows.is_empty() {
            *self = other;
            return;
        }
        self.rows.append(&mut other.rows);
        self.bytes.append(&mut other.bytes);
    }

    /// What [`INSERT`] reads: `[[topic, partition, start, envelope, payload], ..]`.
    fn index(&self) -> String {
        let mut index = String::with_capacity(self.rows.len() * 32);
        let mut start = 1;
        for row in &self.rows {
            let before = if index.is_empty() { '[' } else { ',' };
            let (topic, partition) = (row.topic.id, row.partition);
            let (envelope, payload) = (row.envelope, row.payload);
            // Writing to a string cannot fail.
            let _ = write!(
                index,
                "{before}[{topic},{partition},{start},{envelope},{payload}]"
            );
            start += envelope + payload;
        }
        index.push(']');
        index
    }
}

type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer is asked for.
pub(super) enum Op {
    Publish(Chunk, Answer<()>),
    Commit(Arc<Member>, BTreeMap<Place, i64>, Answer<()>),
    Topics(Vec<String>, Answer<()>),
    Renew(lease::Renewal, Answer<lease::Standing>),
    Leave(Arc<Member>, Answer<()>),
    Close(Answer<()>),
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(super) struct Queue(mpsc::Sender<Op>);

impl Queue {
    pub(super) async fn ask<T>(&self, op: impl FnOnce(Answer<T>) -> Op) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let sent = self.0.send(op(answer)).await;
        sent.map_err(|_| error::closed())?;
        answered.await.map_err(|_| error::closed())?
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.0.is_closed() {
            return Err(error::closed());
        }
        Ok(())
    }
}

/// Requests that share a transaction.
#[derive(Default)]
struct Batch {
    messages: Chunk,
    published: Vec<Answer<()>>,
    /// Per member and partition the highest offset: each row is written once.
    done: BTreeMap<(String, Place), (Arc<Member>, i64)>,
    committed: Vec<Answer<()>>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.messages.rows.len() >= ROWS || self.messages.bytes.len() >= super::CHUNK
    }

    /// Takes the request, or gives back one that does not share.
    fn add(&mut self, op: Op) -> Option<Op> {
        match op {
            Op::Publish(chunk, answer) => {
                self.messages.append(chunk);
                self.published.push(answer);
            }
            Op::Commit(member, done, answer) => {
                for (place, offset) in done {
                    let key = (member.id.clone(), place);
                    let entry = self.done.entry(key);
                    let highest = entry.or_insert_with(|| (Arc::clone(&member), offset));
                    highest.1 = highest.1.max(offset);
                }
                self.committed.push(answer);
            }
            alone => return Some(alone),
        }
        None
    }

    fn offsets(&self) -> sqlx::Result<String> {
        let offset = |((id, place), (member, offset)): (&(String, Place), &(Arc<Member>, i64))| {
            (member.group.clone(), place.0, place.1, id.clone(), *offset)
        };
        let offsets: Vec<_> = self.done.iter().map(offset).collect();
        serde_json::to_string(&offsets).map_err(|e| sqlx::Error::Encode(e.into()))
    }
}

pub(super) struct Writer {
    file: File,
    clock: Arc<dyn Clock>,
    partitions: u32,
    poll: Duration,
    hub: Arc<Hub>,
    /// Made anew after a failure: whatever state it was in is gone then.
    connection: Option<SqliteConnection>,
    /// SQLite's mark of the last change by another connection.
    seen: Option<i64>,
    generations: BTreeMap<String, i64>,
    polled: Instant,
    /// When another process last changed something.
    foreign: Option<Instant>,
    /// The last look failed.
    troubled: bool,
}

impl Writer {
    /// Runs it, until everybody who could ask is gone or somebody closes it.
    pub(super) fn start(
        file: File,
        connection: SqliteConnection,
        hub: Arc<Hub>,
        options: &Options,
    ) -> Queue {
        let writer = Self {
            file,
            clock: Arc::clone(&options.clock),
            partitions: options.partitions,
            poll: options.poll,
            hub,
            connection: Some(connection),
            seen: None,
            generations: BTreeMap::new(),
            polled: Instant::now(),
            foreign: None,
            troubled: false,
        };
        let (queue, ops) = mpsc::channel(QUEUE);
        tokio::spawn(writer.run(ops));
        Queue(queue)
    }

    async fn run(mut self, mut ops: mpsc::Receiver<Op>) {
        let mut kept = None;
        let mut closed = None;
        while closed.is_none() {
            let op = match kept.take() {
                Some(op) => op,
                None => match self.wait(&mut ops).await {
                    Some(op) => op,
                    None => break,
                },
            };
            let mut batch = Batch::default();
            match batch.add(op) {
                Some(alone) => closed = self.alone(alone).await,
                None => {
                    while !batch.is_full() && kept.is_none() {
                        match ops.try_recv() {
                            Ok(op) => kept = batch.add(op),
                            Err(_) => break,
                        }
                    }
                    self.together(batch).await;
                }
            }
            if self.polled.elapsed() >= self.interval() {
                self.look().await;
            }
        }
        // Nobody can ask any more; who is in the queue hears so.
        drop(ops);
        if let Some(connection) = self.connection.take() {
            // A failure here loses nothing: the next one to open the file does the rest.
            let _ = connection.close().await;
        }
        if let Some(answer) = closed {
            let _ = answer.send(Ok(()));
        }
    }

    /// The next request; meanwhile it looks for changes by others, as long as somebody here reads.
    async fn wait(&mut self, ops: &mut mpsc::Receiver<Op>) -> Option<Op> {
        loop {
            if !self.hub.has_members() {
                return ops.recv().await;
            }
            let due = self.polled + self.interval();
            match tokio::time::timeout_at(due, ops.recv()).await {
                Ok(op) => return op,
                Err(_) => self.look().await,
            }
        }
    }

    fn interval(&self) -> Duration {
        let recent = |at: Instant| at.elapsed() < Duration::from_secs(1);
        if self.foreign.is_some_and(recent) {
            self.poll.min(BUSY_POLL)
        } else {
            self.poll
        }
    }

    async fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        if self.connection.is_none() {
            self.seen = None;
            self.connection = Some(self.file.connect().await?);
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => unreachable!("it was made just now"),
        }
    }

    /// Writes publications and commits, and answers once they are on the disk.
    async fn together(&mut self, batch: Batch) {
        let written = self.write(&batch).await;
        match written {
            Ok(last) => {
                if let Some(last) = last {
                    tell_readers(&batch.messages, last);
                }
                for ((_, place), (member, offset)) in batch.done {
                    member.committed(place, offset);
                }
                for answer in batch.published.into_iter().chain(batch.committed) {
                    let _ = answer.send(Ok(()));
                }
            }
            Err(e) => {
                self.connection = None;
                let e = Arc::new(e);
                for answer in batch.published.into_iter().chain(batch.committed) {
                    let _ = answer.send(Err(error::shared(&e)));
                }
            }
        }
    }

    /// Answers the last offset, if there were messages.
    async fn write(&mut self, batch: &Batch) -> sqlx::Result<Option<i64>> {
        let at = self.clock.now().timestamp_micros();
        let mut retry = self.file.retry();
        let connection = self.connection().await?;
        if batch.done.is_empty() {
            // One statement is a transaction of its own.
            loop {
                match insert(connection, &batch.messages, at).await {
                    Ok(last) => return Ok(Some(last)),
                    Err(e) => retry.after(e).await?,
                }
            }
        }
        begin(connection, retry).await?;
        let mut last = None;
        if !batch.messages.rows.is_empty() {
            last = Some(insert(connection, &batch.messages, at).await?);
        }
        let offsets = sqlx::query(COMMIT).bind(batch.offsets()?);
        offsets.execute(&mut *connection).await?;
        commit(connection).await?;
        Ok(last)
    }

    /// Does what has a transaction of its own; gives back whom to tell when the writer has closed.
    async fn alone(&mut self, op: Op) -> Option<Answer<()>> {
        match op {
            Op::Topics(names, answer) => {
                let made = self.create(&names).await;
                self.answer(answer, made);
            }
            Op::Renew(renewal, answer) => {
                let standing = self.renew(&renewal).await;
                if standing.as_ref().is_ok_and(|s| s.changed) {
                    self.hub.poke(&renewal.group, Some(&renewal.id));
                }
                self.answer(answer, standing);
            }
            Op::Leave(member, answer) => {
                let left = self.leave(&member).await;
                self.hub.poke(&member.group, Some(&member.id));
                self.answer(answer, left);
            }
            Op::Close(answer) => return Some(answer),
            Op::Publish(..) | Op::Commit(..) => unreachable!("these share a transaction"),
        }
        None
    }

    fn answer<T>(&mut self, answer: Answer<T>, outcome: sqlx::Result<T>) {
        if outcome.is_err() {
            self.connection = None;
        }
        // Who does not wait any more does not need it.
        let _ = answer.send(outcome.map_err(error::from));
    }

    async fn create(&mut self, names: &[String]) -> sqlx::Result<()> {
        let at = self.clock.now().timestamp_micros();
        let (retry, partitions) = (self.file.retry(), self.partitions);
        let mut topics = Vec::new();
        let connection = self.connection().await?;
        begin(connection, retry).await?;
        for name in names {
            let made = "INSERT INTO topics (name, partitions, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
            let made = sqlx::query(made).bind(name).bind(partitions).bind(at);
            made.execute(&mut *connection).await?;
            let topic = "SELECT id, partitions FROM topics WHERE name = ?";
            let topic = sqlx::query_as(topic).bind(name);
            let (id, partitions): (i64, u32) = topic.fetch_one(&mut *connection).await?;
            topics.push((id, name, partitions));
        }
        commit(connection).await?;
        for (id, name, partitions) in topics {
            self.hub.add(id, name, partitions);
        }
        Ok(())
    }

    async fn renew(&mut self, renewal: &lease::Renewal) -> sqlx::Result<lease::Standing> {
        let retry = self.file.retry();
        let connection = self.connection().await?;
        begin(connection, retry).await?;
        let standing = lease::renew(connection, renewal).await?;
        commit(connection).await?;
        Ok(standing)
    }

    async fn leave(&mut self, member: &Member) -> sqlx::Result<()> {
        let retry = self.file.retry();
        let connection = self.connection().await?;
        begin(connection, retry).await?;
        lease::leave(connection, &member.group, &member.id).await?;
        commit(connection).await
    }

    /// Looks for messages and members of other processes.
    async fn look(&mut self) {
        self.polled = Instant::now();
        match self.try_look().await {
            Ok(()) => self.troubled = false,
            Err(e) => {
                // Once: this runs many times a second.
                if !self.troubled {
                    tracing::warn!(error = %e, "the broker's file cannot be read");
                }
                self.troubled = true;
                self.connection = None;
            }
        }
    }

    async fn try_look(&mut self) -> sqlx::Result<()> {
        let topics = self.hub.read_topics();
        let seen = self.seen;
        let connection = self.connection().await?;
        // It moves with every change by another connection, and with none of this one.
        let version = sqlx::query_scalar("PRAGMA data_version");
        let version: i64 = version.fetch_one(&mut *connection).await?;
        if seen == Some(version) {
            return Ok(());
        }
        let places: Vec<_> = topics
            .iter()
            .flat_map(|t| (0..t.partitions).map(|p| (t.id, p)))
            .collect();
        let heads = lease::heads(connection, &places).await?;
        let generations = "SELECT name, generation FROM groups";
        let generations = sqlx::query(generations).fetch_all(connection).await?;
        for topic in topics {
            let mut news = false;
            for ((_, partition), head) in heads.iter().filter(|((id, _), _)| *id == topic.id) {
                news |= topic.raise(*partition, *head);
            }
            if news {
                topic.wake();
            }
        }
        for row in generations {
            let (group, generation): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            if self.generations.get(&group) != Some(&generation) {
                self.hub.poke(&group, None);
                self.generations.insert(group, generation);
            }
        }
        // The first look only learns where things stand.
        if seen.is_some() {
            self.foreign = Some(self.polled);
        }
        self.seen = Some(version);
        Ok(())
    }
}

/// Takes the write lock at once, so that nothing after this can be refused for another writer's sake.
///
/// Whoever fails between this and [`commit`] drops the connection, which takes everything back.
async fn begin(connection: &mut SqliteConnection, mut retry: Retry) -> sqlx::Result<()> {
    loop {
        let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection);
        match begun.await {
            Ok(_) => return Ok(()),
            Err(e) => retry.after(e).await?,
        }
    }
}

async fn commit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("COMMIT").execute(connection).await.map(drop)
}

/// Answers the last offset.
async fn insert(connection: &mut SqliteConnection, messages: &Chunk, at: i64) -> sqlx::Result<i64> {
    let insert = sqlx::query(INSERT)
        .bind(messages.index())
        .bind(&messages.bytes)
        .bind(crate::broker::wire::FORMAT)
        .bind(at);
    Ok(insert.execute(connection).await?.last_insert_rowid())
}

/// Lets the members of this process know how far their partitions may reach now.
fn tell_readers(messages: &Chunk, last: i64) {
    let mut topics: BTreeMap<i64, &Topic> = BTreeMap::new();
    for row in &messages.rows {
        row.topic.raise(row.partition, last);
        topics.insert(row.topic.id, &row.topic);
    }
    for topic in topics.values() {
        topic.wake();
    }
}
