//! Dead letters as an operator sees them: look, replay, discard.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use tracing::info;
use uuid::Uuid;

use super::{
    event::{Stands, stands, subject},
    handle::{Handler, Incoming, Retries},
    operation::{Decision, Operation, operations},
    park::Tries,
    revive::{Place, Revived, Wish, waits},
    sagas,
};
use crate::{
    broker::Broker,
    error::{Error, Kind, Result},
    message,
    store::{self, DeadLetter, LetterFilter, Position, Reason, Trial},
};

/// Says in the log who decides what; what became of it is kept with the decision.
fn note(what: &str, letter: &DeadLetter, decision: &Decision) {
    let Decision { by, why, force } = decision;
    info!(letter = %letter.id, consumer = letter.consumer, key = letter.key, by, why, force,
        "an operator decides about a dead letter: {what}");
}

/// How many letters are read at once.
const PAGE: u32 = 100;

/// The dead letters of one service: messages that are beyond help, and those that queue behind them.
///
/// A replay goes the way of a first delivery: the message is decoded anew and handed to the same handlers, in one
/// unit of work with the end of the letter. So a handler that was fixed by a deploy makes it pass, and nothing
/// happens twice. Bytes that were no message are decoded anew from what was kept of them, by the same code that reads
/// the broker.
///
/// ```no_run
/// # use minos::{Decision, store::LetterFilter};
/// # async fn example(running: minos::Running) -> minos::Result<()> {
/// let letters = running.dead_letters("foo")?;
/// for (_, letter) in letters.list(&LetterFilter::all(100)).await? {
///     println!("{} {}: {}", letter.id, letter.message.name, letter.error);
/// }
/// let fixed = Decision::by("alice").because("fixed in 1.2");
/// let report = letters.replay_all(&LetterFilter::of("FooQueryService.foo_created", 1000), &fixed).await?;
/// println!("{} passed", report.done.len());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct DeadLetters {
    handler: Handler,
    broker: Arc<dyn Broker>,
}

/// What became of the letters that an operator decided about.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// These are gone, in this order; among them those that queued behind others. What waited for a whole impl block
    /// is gone once it is with its handlers: what fails there is a letter of that handler.
    pub done: Vec<Uuid>,
    /// These failed again, and stay.
    pub failed: Vec<Left>,
    /// These were not tried, and stay.
    pub held: Vec<Left>,
}

/// A letter that stays.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Left {
    /// Which.
    pub letter: Uuid,
    /// Why.
    pub why: String,
}

impl Report {
    fn note(&mut self, letter: &DeadLetter, became: Revived) -> bool {
        let left = |why| Left {
            letter: letter.id,
            why,
        };
        match became {
            Revived::Done if !self.done.contains(&letter.id) => self.done.push(letter.id),
            // It could not be taken away, and is not tried for ever.
            Revived::Done => return false,
            Revived::Failed(why) => self.failed.push(left(why)),
            Revived::Held(why) => self.held.push(left(why)),
        }
        self.done.last() == Some(&letter.id)
    }

    fn len(&self) -> usize {
        self.done.len() + self.failed.len() + self.held.len()
    }
}

impl DeadLetters {
    pub(crate) fn new(handler: Handler, broker: Arc<dyn Broker>) -> Self {
        // Somebody waits for the answer, and can ask again.
        let retries = Retries {
            attempts: 1,
            ..handler.retries
        };
        let handler = Handler { retries, ..handler };
        Self { handler, broker }
    }

    /// The letters that are meant, each with its place in the queue, in the order in which they were parked.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, filter: &LetterFilter) -> Result<Vec<(Position, DeadLetter)>> {
        Ok(self.handler.core.store.dead_letters(filter).await?)
    }

    /// How many are meant, by consumer.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count(&self, filter: &LetterFilter) -> Result<BTreeMap<String, u64>> {
        Ok(self.handler.core.store.count_dead_letters(filter).await?)
    }

    /// One letter.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of this id (any more).
    pub async fn get(&self, id: Uuid) -> Result<DeadLetter> {
        let found = self.handler.core.store.dead_letter(id).await?;
        found.ok_or_else(|| Error::new(Kind::NotFound, "there is no such dead letter (any more)"))
    }

    /// The last decisions, the newest first; only those about one letter, if it is named.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn operations(&self, letter: Option<Uuid>, limit: u32) -> Result<Vec<Operation>> {
        operations(&*self.handler.core.store, letter, limit).await
    }

    /// Replays a letter and, once it passes, what queues behind it.
    ///
    /// By force a command runs although its sender was told that it failed (it is told nothing else then), and an
    /// event is handled although others before it are missing or another one has its version.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such letter, [`Kind::Conflict`] if it needs force or if another one of its
    /// key is to be decided about first. A letter that fails again is no error: it is in the report.
    pub async fn replay(&self, id: Uuid, decision: &Decision) -> Result<Report> {
        let letter = self.get(id).await?;
        let mut report = Report::default();
        let place = self.handler.place(&letter);
        if let Some(place) = place {
            self.reach(place, &letter, &mut report).await?;
            if report.done.contains(&id) {
                return Ok(report);
            }
        }
        let became = self.one(&letter, decision).await?;
        if let Revived::Held(why) = became {
            return Err(Error::new(Kind::Conflict, why));
        }
        if report.note(&letter, became)
            && let Some(place) = place
        {
            let drained = self.handler.drain(place, &letter.key).await?;
            report.done.extend(drained.iter().map(|l| l.id));
        }
        Ok(report)
    }

    /// Lets what queues before a letter of an event go first, as far as nothing that failed stands there.
    async fn reach(
        &self,
        place: Place<'_>,
        letter: &DeadLetter,
        report: &mut Report,
    ) -> Result<()> {
        let (store, name) = (&self.handler.core.store, place.name());
        let first = store.first_parked(&name, &letter.key).await?;
        if letter.version().is_none() || first.is_none_or(|first| first.id == letter.id) {
            return Ok(());
        }
        let drained = self.handler.drain(place, &letter.key).await?;
        report.done.extend(drained.iter().map(|l| l.id));
        match store.first_parked(&name, &letter.key).await? {
            Some(first) if first.id != letter.id => Err(Error::new(
                Kind::Conflict,
                format!(
                    "the dead letter {} is before it in {}: replay or discard that one first",
                    first.id, first.key
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Replays the letters that are meant, at most `limit` of them. Those of one key go in order: a later one stays
    /// behind an earlier one that fails again; other keys go on.
    ///
    /// # Errors
    /// If the store fails; what was replayed until then is replayed.
    pub async fn replay_all(&self, filter: &LetterFilter, decision: &Decision) -> Result<Report> {
        let (mut report, mut keys) = (Report::default(), BTreeSet::new());
        let most = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let mut page = LetterFilter {
            limit: PAGE,
            ..filter.clone()
        };
        loop {
            let letters = self.list(&page).await?;
            let Some((last, _)) = letters.last() else {
                return Ok(report);
            };
            page.after = *last;
            for (_, letter) in &letters {
                if report.len() >= most {
                    return Ok(report);
                }
                match self.handler.place(letter) {
                    Some(place) if letter.version().is_some() => {
                        if keys.insert((letter.consumer.clone(), letter.key.clone())) {
                            self.key(place, letter, (filter, most), decision, &mut report)
                                .await?;
                        }
                    }
                    _ => {
                        let became = self.one(letter, decision).await?;
                        report.note(letter, became);
                    }
                }
            }
        }
    }

    /// Replays what is meant of one key, from its beginning.
    async fn key(
        &self,
        place: Place<'_>,
        letter: &DeadLetter,
        (filter, most): (&LetterFilter, usize),
        decision: &Decision,
        report: &mut Report,
    ) -> Result<()> {
        let (store, name) = (&self.handler.core.store, place.name());
        // What only waits goes on before what is meant, but nobody meant it to be forced.
        let gently = Decision {
            force: false,
            ..decision.clone()
        };
        while let Some(first) = store.first_parked(&name, &letter.key).await? {
            if report.len() >= most {
                break;
            }
            let became = if filter.fits(&first) {
                self.one(&first, decision).await?
            } else if waits(&first) {
                self.one(&first, &gently).await?
            } else {
                let why = format!(
                    "the dead letter {} is before it, and is not meant",
                    first.id
                );
                report.note(letter, Revived::Held(why));
                break;
            };
            if !report.note(&first, became) {
                break;
            }
        }
        Ok(())
    }

    /// Gives a letter up. What queues behind an event goes on: the consumer's mark moves over it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] without a reason, [`Kind::NotFound`] if there is no such letter, [`Kind::Conflict`] for an
    /// event that is ahead of others which are parked, too.
    pub async fn discard(&self, id: Uuid, decision: &Decision) -> Result<Report> {
        let letter = self.get(id).await?;
        let mut report = Report::default();
        self.give_up(&letter, decision).await?;
        report.done.push(id);
        if let Some(place) = self.handler.place(&letter) {
            let drained = self.handler.drain(place, &letter.key).await?;
            report.done.extend(drained.iter().map(|l| l.id));
        }
        Ok(report)
    }

    /// Gives the letters up that are meant, at most `limit` of them. What queues behind them and is not meant goes on.
    ///
    /// # Errors
    /// As [`discard`](Self::discard); what was discarded until then is discarded.
    pub async fn discard_all(&self, filter: &LetterFilter, decision: &Decision) -> Result<Report> {
        let mut report = Report::default();
        let mut keys = BTreeMap::new();
        let most = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let mut page = LetterFilter {
            limit: PAGE,
            ..filter.clone()
        };
        'pages: loop {
            let mut letters = self.list(&page).await?;
            let Some((last, _)) = letters.last() else {
                break;
            };
            page.after = *last;
            letters.sort_by_key(|(_, letter)| letter.version());
            for (_, letter) in letters {
                if report.len() >= most {
                    break 'pages;
                }
                match self.give_up(&letter, decision).await {
                    Ok(()) => report.done.push(letter.id),
                    Err(e) if matches!(e.kind(), Some(Kind::Conflict | Kind::NotFound)) => {
                        report.note(&letter, Revived::Held(e.to_string()));
                    }
                    Err(e) => return Err(e),
                }
                if let Some(place) = self.handler.place(&letter) {
                    keys.insert((letter.consumer.clone(), letter.key.clone()), place);
                }
            }
        }
        for ((_, key), place) in keys {
            let drained = self.handler.drain(place, &key).await?;
            report.done.extend(drained.iter().map(|l| l.id));
        }
        Ok(report)
    }

    async fn give_up(&self, letter: &DeadLetter, decision: &Decision) -> Result<()> {
        if decision.why.trim().is_empty() {
            let text = "say why, for those who miss it later";
            return Err(crate::error::Failure::new(Kind::Invalid, text)
                .at("/reason")
                .into());
        }
        let (core, store) = (&self.handler.core, &self.handler.core.store);
        let operation = Operation::of_letter(&*core.clock, decision, "discarded", letter);
        let mut unit = self.handler.unit();
        unit.revived.push(letter.id);
        unit.views.push(operation.row()?);
        // The mark of a handler moved when it was parked, that of a block does so now.
        if let Some(Place {
            handlers,
            route: None,
        }) = self.handler.place(letter)
            && let Some((stream, reached)) = subject(&letter.message)
        {
            let mark = store.mark(handlers.name, &stream).await?;
            match stands(handlers, (&stream, reached), mark, letter.origin.is_none()) {
                Stands::Seen | Stands::Forked => {}
                Stands::Next(step) => unit.marks.push(step),
                Stands::Ahead(step) => {
                    let first = store.first_parked(handlers.name, &letter.key).await?;
                    if let Some(first) = first.filter(|first| first.id != letter.id) {
                        let text = format!(
                            "the dead letter {} is before it in {}: decide about that one first",
                            first.id, first.key
                        );
                        return Err(Error::new(Kind::Conflict, text));
                    }
                    unit.marks.push(step);
                }
            }
        }
        note("discard", letter, decision);
        match store.commit(unit).await {
            Err(store::Error::Moved { .. }) => Err(Error::new(
                Kind::NotFound,
                "there is no such dead letter any more",
            )),
            Err(store::Error::OutOfOrder { .. }) => Err(Error::new(
                Kind::Conflict,
                "another event of its key was handled meanwhile; decide again",
            )),
            done => Ok(done?),
        }
    }

    /// Tries one letter, wherever it belongs.
    async fn one(&self, letter: &DeadLetter, decision: &Decision) -> Result<Revived> {
        let clock = &*self.handler.core.clock;
        let row = |what| Operation::of_letter(clock, decision, what, letter).row();
        let (done, failed) = (row("replayed")?, row("replay_failed")?);
        note("replay", letter, decision);
        let wish = Wish {
            force: decision.force,
            notes: Some((&done, &failed)),
        };
        if let Some(bytes) = &letter.bytes {
            return self.undecodable(letter, bytes, wish).await;
        }
        if letter.reason == Reason::Unpublished {
            return self.publish(letter, wish).await;
        }
        match letter.message.kind {
            message::Kind::Reply | message::Kind::Signal => {
                self.handler.revive_reply(letter, wish).await
            }
            message::Kind::Void if letter.consumer == sagas::CONSUMER => {
                self.handler.revive_reply(letter, wish).await
            }
            message::Kind::Event => match self.handler.place(letter) {
                Some(place) => self.handler.revive_event(place, letter, wish).await,
                None => Ok(Revived::Held(format!(
                    "there is no `{}` here any more; discard it if nobody needs it",
                    letter.consumer
                ))),
            },
            _ => self.handler.revive_command(letter, wish).await,
        }
    }

    /// Bytes are read anew. A message that comes out of them is delivered as if it came now.
    async fn undecodable(
        &self,
        letter: &DeadLetter,
        bytes: &[u8],
        wish: Wish<'_>,
    ) -> Result<Revived> {
        let Some(origin) = &letter.origin else {
            return Ok(Revived::Held("nobody knows where it came from".to_owned()));
        };
        match self.broker.decode(origin, bytes) {
            Ok(message) => {
                let incoming = Incoming {
                    message: &message,
                    origin: Some(origin),
                };
                self.handler.deliver(incoming).await?;
                self.handler.drop_letter(letter, wish).await
            }
            Err(undecodable) => {
                let mut tries = Tries::none(undecodable.reason.clone());
                tries.attempts = 1;
                tries.history.push(Trial {
                    at: self.handler.core.clock.now(),
                    error: undecodable.reason,
                });
                self.handler.back(letter, tries, wish).await
            }
        }
    }

    /// A message that could not be published is sent once more.
    async fn publish(&self, letter: &DeadLetter, wish: Wish<'_>) -> Result<Revived> {
        let mut unit = self.handler.unit();
        unit.outbox.push(letter.message.clone());
        self.handler.take_back(letter, unit, wish).await
    }
}
