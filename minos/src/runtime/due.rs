//! Looks after what is due: sagas, and timers.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    task::{self, JoinSet},
    time::Instant,
};
use tracing::error;
use uuid::Uuid;

use super::{
    Stop,
    relay::{OUTBOX, wait},
    sagas::{Driven, Next, carry_out, next},
    turns::{FIRST_GO, Turns},
};
use crate::{
    clock::process,
    context::Core,
    error::{Error, Result},
    health::Health,
    message::Message,
    store::{self, SagaRow, UnitOfWork},
};

/// How many sagas and timers are looked at at once.
const BATCH: u32 = 64;
/// The longest pause between two looks: another process may have written.
const POLL: Duration = Duration::from_millis(500);
/// The shortest: under load there is a change at any time, and what this process itself makes due it knows.
const REST: Duration = Duration::from_millis(10);

/// How old what is known of the relay may be when a saga is due.
const FRESH: Duration = Duration::from_millis(100);

/// Looks after what is due in one service.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) core: Arc<Core>,
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
    pub(crate) concurrency: usize,
}

/// What is known of what is due.
struct Agenda {
    running: JoinSet<Result<Driven>>,
    /// Which sagas are being moved, from which versions.
    busy: HashMap<task::Id, (Uuid, u64)>,
    /// What is to be moved once there is room, and since when that is known.
    waiting: VecDeque<(Instant, SagaRow)>,
    turns: Turns,
    /// Of when the oldest message is that has not left yet, and when that was asked.
    unsent: Option<(Instant, Option<DateTime<Utc>>)>,
}

impl Due {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        let mut changes = self.core.store.changes();
        let mut agenda = Agenda {
            running: JoinSet::new(),
            busy: HashMap::new(),
            waiting: VecDeque::new(),
            turns: Turns::new(process()),
            unsent: None,
        };
        let mut looked: Option<Instant> = None;
        let mut pause = Duration::ZERO;
        self.health.up(&self.name);
        while !stop.stopped() {
            agenda.waiting.append(&mut self.core.soon.take());
            if self.begin(&mut agenda) {
                pause = Duration::ZERO;
            }
            let least = match agenda.waiting.is_empty() {
                true => REST,
                false => FIRST_GO / 4,
            };
            let mut rest = looked.map_or(Duration::ZERO, |at| least.saturating_sub(at.elapsed()));
            if rest.is_zero() {
                changes.mark_unchanged();
                pause = self.look(&mut agenda).await?;
                if self.begin(&mut agenda) {
                    pause = Duration::ZERO;
                }
                (looked, rest) = (Some(Instant::now()), least);
            }
            tokio::select! {
                Some(finished) = agenda.running.join_next_with_id() => {
                    let (task, outcome) = match finished {
                        Ok(finished) => finished,
                        Err(e) => (e.id(), Err(Error::other(e))),
                    };
                    let saga = agenda.busy.remove(&task);
                    // It may have made room.
                    pause = pause.min(REST);
                    match (outcome, saga) {
                        (Ok(Driven::Left), Some(saga)) => agenda.turns.leave(saga, Instant::now()),
                        (Ok(_), _) => {}
                        (Err(e), _) => {
                            error!(?saga, error = ?e, "a saga could not move; it is tried again");
                            stop.sleep(Duration::from_millis(200)).await;
                        }
                    }
                }
                () = self.core.soon.some() => {}
                () = async {
                    if stop.sleep(rest).await {
                        wait(&mut changes, &stop, pause.saturating_sub(rest)).await;
                    }
                } => {}
            }
        }
        while agenda.running.join_next().await.is_some() {}
        Ok(())
    }

    /// Starts what waits, as far as there is room; `true` if something was left to others, behind which there may be more.
    fn begin(&self, agenda: &mut Agenda) -> bool {
        let oldest = agenda.unsent.and_then(|(_, oldest)| oldest);
        let mut left = false;
        for (since, row) in std::mem::take(&mut agenda.waiting) {
            // After so long others may have taken it: the next look says so.
            if since.elapsed() >= FIRST_GO {
                continue;
            }
            let full = agenda.busy.len() >= self.concurrency;
            if full || agenda.busy.values().any(|(id, _)| *id == row.id) {
                agenda.waiting.push_back((since, row));
                continue;
            }
            let (this, now) = ((row.id, row.version), Instant::now());
            let orphaned = agenda.turns.is_orphaned(this, now);
            // What is left to others takes no task: there may be thousands of it.
            let next = next(&self.core, &row, oldest, orphaned);
            if matches!(next, Ok(Next::Leave)) {
                agenda.turns.leave(this, now);
                left = true;
                continue;
            }
            let core = self.core.clone();
            let task = agenda
                .running
                .spawn(async move { carry_out(&core, row, next?, orphaned).await });
            agenda.busy.insert(task.id(), this);
        }
        left
    }

    /// Asks the store for what is due; answers when that is to be done again, unless something changes.
    async fn look(&self, agenda: &mut Agenda) -> Result<Duration> {
        let (store, now) = (&self.core.store, self.core.clock.now());
        let next = store.next_due().await?;
        if next.is_none_or(|at| at > now) {
            agenda.turns.clear();
            let until = next.map(|at| (at - now).to_std().unwrap_or_default());
            return Ok(until.unwrap_or(POLL).min(POLL));
        }
        if self.fire_timers().await? {
            return Ok(Duration::ZERO);
        }
        // What is left to others takes no place of what is not.
        let window = agenda.turns.left().saturating_mul(2) + BATCH;
        let due = store.due_sagas(now, window).await?;
        if !due.is_empty() && agenda.unsent.is_none_or(|(at, _)| at.elapsed() > FRESH) {
            agenda.unsent = Some((Instant::now(), self.unsent().await?));
        }
        let since = Instant::now();
        for row in agenda.turns.mine(due, since) {
            let known = agenda.waiting.iter().any(|(_, known)| known.id == row.id);
            if !known && agenda.busy.values().all(|(id, _)| *id != row.id) {
                agenda.waiting.push_back((since, row));
            }
        }
        // What is due now is being worked on; its end wakes the loop.
        Ok(match agenda.turns.waits() {
            Some(pause) => pause,
            None if agenda.busy.is_empty() && agenda.waiting.is_empty() => Duration::ZERO,
            None => POLL,
        })
    }

    /// Of when the oldest message is that has not left yet.
    async fn unsent(&self) -> Result<Option<DateTime<Utc>>> {
        let store = &self.core.store;
        let left = store.cursor(OUTBOX).await?;
        let oldest = store.outbox(left.position, 1).await?;
        Ok(oldest.first().map(|(_, message)| message.at))
    }

    /// Sends what timers are due; `true` if there were any.
    async fn fire_timers(&self) -> Result<bool> {
        let timers = self
            .core
            .store
            .due_timers(self.core.clock.now(), BATCH)
            .await?;
        let any = !timers.is_empty();
        for timer in timers {
            let mut unit = UnitOfWork::new(self.core.clock.new_uuid(), self.core.clock.now());
            unit.fired.push(timer.id);
            // It is as old as its departure: by that the inbox of its receiver knows whether it may be forgotten.
            unit.outbox.push(Message {
                at: unit.at,
                ..timer.message
            });
            match self.core.store.commit(unit).await {
                // Another instance took it.
                Ok(()) | Err(store::Error::Moved { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(any)
    }
}
