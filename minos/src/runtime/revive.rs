//! Dead letters on their way back: through the same handlers, in the order of their key.

use super::{
    event::{Stands, done, stands, subject},
    handle::{Commanded, Handler, Incoming},
    park::{Tries, tried_again},
    react::{Task, handler_name, matching},
    sagas,
};
use crate::{
    enroute::{Answer, Handlers},
    error::Result,
    message::Kind,
    store::{self, DeadLetter, Mark, Reason, UnitOfWork, ViewWrite},
};

/// What became of a letter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Revived {
    /// It was handled, and is gone.
    Done,
    /// It failed again, and stays.
    Failed(String),
    /// It was not tried, and stays.
    Held(String),
}

/// Who wants it, and how much.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish<'w> {
    pub(super) force: bool,
    /// What is noted with the outcome, if somebody is to be able to read it: of a success, and of a failure.
    pub(super) notes: Option<(&'w ViewWrite, &'w ViewWrite)>,
}

impl Wish<'_> {
    fn done(&self, unit: &mut UnitOfWork) {
        unit.views.extend(self.notes.map(|(done, _)| done.clone()));
    }

    fn failed(&self, unit: &mut UnitOfWork) {
        unit.views
            .extend(self.notes.map(|(_, failed)| failed.clone()));
    }
}

/// Who a parked event waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'h> {
    pub(super) handlers: &'h Handlers,
    /// One handler of the impl block; [`None`] for an event that the block as a whole could not take.
    pub(super) route: Option<usize>,
}

impl Place<'_> {
    /// By which name its letters are kept.
    pub(super) fn name(&self) -> String {
        match self.route {
            Some(route) => handler_name(self.handlers, route),
            None => self.handlers.name.to_owned(),
        }
    }
}

/// Whether a letter only waits for others.
pub(super) fn waits(letter: &DeadLetter) -> bool {
    matches!(letter.reason, Reason::Behind | Reason::Gap)
}

impl Handler {
    /// Who an event is parked for, unless that is gone.
    pub(super) fn place(&self, letter: &DeadLetter) -> Option<Place<'_>> {
        if letter.message.kind != Kind::Event || letter.bytes.is_some() {
            return None;
        }
        self.handlers.iter().find_map(|handlers| {
            if handlers.name == letter.consumer {
                let route = None;
                return Some(Place { handlers, route });
            }
            let rest = letter.consumer.strip_prefix(handlers.name)?;
            let method = rest.strip_prefix('.')?;
            let route = handlers
                .routes
                .iter()
                .position(|r| r.at.handler == method)?;
            let route = Some(route);
            Some(Place { handlers, route })
        })
    }

    /// Lets go what waits in a key, as far as nothing that failed stands before it.
    pub(super) async fn drain(&self, place: Place<'_>, key: &str) -> Result<Vec<DeadLetter>> {
        match place.route {
            Some(route) => self.drain_handler(place.handlers, route, key).await,
            None => self.drain_block(place.handlers, key).await,
        }
    }

    pub(super) async fn drain_handler(
        &self,
        handlers: &Handlers,
        route: usize,
        key: &str,
    ) -> Result<Vec<DeadLetter>> {
        let (name, mut drained) = (handler_name(handlers, route), Vec::new());
        while let Some(letter) = self.core.store.first_parked(&name, key).await? {
            if !waits(&letter)
                || self
                    .revive_for(handlers, route, &letter, Wish::default())
                    .await?
                    != Revived::Done
            {
                break;
            }
            drained.push(letter);
        }
        Ok(drained)
    }

    pub(super) async fn drain_block(
        &self,
        handlers: &Handlers,
        key: &str,
    ) -> Result<Vec<DeadLetter>> {
        let (store, mut drained) = (&self.core.store, Vec::new());
        while let Some(letter) = store.first_parked(handlers.name, key).await? {
            if !waits(&letter)
                || self.pass_on(handlers, &letter, Wish::default()).await? != Revived::Done
            {
                break;
            }
            drained.push(letter);
        }
        Ok(drained)
    }

    /// Hands a parked event to whom it waits for. The caller sees to it that it is the first of its key.
    pub(super) async fn revive_event(
        &self,
        place: Place<'_>,
        letter: &DeadLetter,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        match place.route {
            Some(route) => self.revive_for(place.handlers, route, letter, wish).await,
            None => self.pass_on(place.handlers, letter, wish).await,
        }
    }

    /// Runs one handler. Its mark moved when the event was parked: the letter alone says that it is not done.
    async fn revive_for(
        &self,
        handlers: &Handlers,
        route: usize,
        letter: &DeadLetter,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        if letter.reason == Reason::Expired && !wish.force {
            let why = "nobody knows whether it ran before; by force it runs";
            return Ok(Revived::Held(why.to_owned()));
        }
        let name = handler_name(handlers, route);
        let mut routes = matching(handlers, &letter.message).into_iter();
        let Some(route) = routes.find(|route| handler_name(handlers, *route) == name) else {
            let why = format!("`{name}` does not take it any more; discard it if nobody needs it");
            return Ok(Revived::Held(why));
        };
        let task = Task::again(handlers, route);
        let end = |unit: &mut UnitOfWork| {
            unit.revived.push(letter.id);
            wish.done(unit);
        };
        let message = &letter.message;
        let mut failed = self
            .rounds(handlers, message, vec![task], None, end)
            .await?;
        match failed.pop() {
            None => Ok(Revived::Done),
            Some(task) => self.back(letter, task.tries, wish).await,
        }
    }

    /// Passes an event on that waits for a whole block: in one commit the block's mark moves and it waits for each
    /// of the handlers that is not done with it, which then get what waits for them.
    async fn pass_on(
        &self,
        handlers: &Handlers,
        letter: &DeadLetter,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        let held = |why: &str| Ok(Revived::Held(why.to_owned()));
        let Some((stream, reached)) = subject(&letter.message) else {
            return held("it is of no aggregate; discard it");
        };
        let store = &self.core.store;
        loop {
            let mark = store.mark(handlers.name, &stream).await?;
            // Whether the handlers' own marks say who is done with it. Of a fork they do not know. Over a gap none is,
            // and they stay where they are: what was missing may be in one of them right now.
            let (step, own) = match stands(
                handlers,
                (&stream, reached),
                mark,
                letter.origin.is_none(),
            ) {
                Stands::Next(step) => (Some(step), true),
                Stands::Ahead(step) if wish.force => (Some(step), false),
                Stands::Ahead(_) => {
                    return held(
                        "events before it are still missing; by force it is handled without them",
                    );
                }
                // What was missing came, and then it came again itself.
                Stands::Seen if letter.reason == Reason::Gap => {
                    return self.drop_letter(letter, wish).await;
                }
                Stands::Seen if letter.reason == Reason::Behind => (None, true),
                Stands::Seen | Stands::Forked if wish.force => (None, false),
                Stands::Seen | Stands::Forked => {
                    return held(
                        "another event has its version: the log was forked; by force it is handled, too",
                    );
                }
            };
            let mut unit = self.unit();
            unit.revived.push(letter.id);
            unit.marks.extend(step);
            wish.done(&mut unit);
            let mut open = Vec::new();
            for route in matching(handlers, &letter.message) {
                let consumer = handler_name(handlers, route);
                if own {
                    let expected = store.mark(&consumer, &stream).await?;
                    if expected.is_some_and(|mark| mark.version >= reached.version) {
                        continue;
                    }
                    unit.marks.push(Mark {
                        consumer: consumer.clone(),
                        stream: stream.clone(),
                        expected,
                        reached,
                    });
                }
                unit.dead_letters.push(DeadLetter {
                    id: self.core.clock.new_uuid(),
                    consumer,
                    reason: Reason::Behind,
                    ..letter.clone()
                });
                open.push(route);
            }
            match store.commit(unit).await {
                // A handler or the block moved meanwhile.
                Err(store::Error::OutOfOrder { .. }) => continue,
                committed => done(committed)?,
            }
            for route in open {
                self.drain_handler(handlers, route, &letter.key).await?;
            }
            return Ok(Revived::Done);
        }
    }

    /// Runs a parked command once more. Its sender was told that it failed, and is told nothing else.
    pub(super) async fn revive_command(
        &self,
        letter: &DeadLetter,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        let message = &letter.message;
        let held = |why: &str| Ok(Revived::Held(why.to_owned()));
        if message.kind != Kind::Command {
            return held("only commands and events are replayed: whoever asked this waits no more");
        }
        let Some((handlers, route)) = self.find(message) else {
            let tries = Tries::none("nobody here handles it");
            return self.back(letter, tries, wish).await;
        };
        if !wish.force {
            return held(match letter.reason {
                Reason::Expired => "nobody knows whether it ran before; by force it runs",
                _ => "its sender was told that it failed; by force it runs all the same",
            });
        }
        let open = letter.reason == Reason::Expired;
        let ran = self
            .try_command(handlers, route, message, |unit, outcome| {
                if open {
                    self.seal(unit, message, outcome);
                }
                unit.revived.push(letter.id);
                wish.done(unit);
            })
            .await?;
        match ran {
            Commanded::Answered(Answer::Refused(refused)) => {
                // A refusal is an answer: the letter is gone.
                tracing::info!(letter = %letter.id, text = refused.text, "a replayed command was refused");
                Ok(Revived::Done)
            }
            Commanded::Answered(_) => Ok(Revived::Done),
            Commanded::Before(_) => self.drop_letter(letter, wish).await,
            Commanded::Failed(tries) => self.back(letter, tries, wish).await,
        }
    }

    /// Hands a parked reply to its saga once more.
    pub(super) async fn revive_reply(
        &self,
        letter: &DeadLetter,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        let incoming = Incoming {
            message: &letter.message,
            origin: letter.origin.as_ref(),
        };
        let seal = |unit: &mut UnitOfWork| {
            unit.revived.push(letter.id);
            wish.done(unit);
        };
        match sagas::answer(self, incoming, seal).await? {
            sagas::Answered::Taken => Ok(Revived::Done),
            sagas::Answered::Before => self.drop_letter(letter, wish).await,
            sagas::Answered::Not(why) => {
                let mut tries = Tries::none(why);
                tries.attempts = 1;
                self.back(letter, tries, wish).await
            }
        }
    }

    /// The letter is not needed any more.
    pub(super) async fn drop_letter(&self, letter: &DeadLetter, wish: Wish<'_>) -> Result<Revived> {
        self.take_back(letter, self.unit(), wish).await
    }

    /// The letter is gone with this unit.
    pub(super) async fn take_back(
        &self,
        letter: &DeadLetter,
        mut unit: UnitOfWork,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        unit.revived.push(letter.id);
        wish.done(&mut unit);
        done(self.core.store.commit(unit).await)?;
        Ok(Revived::Done)
    }

    /// The letter stays, with what was tried.
    pub(super) async fn back(
        &self,
        letter: &DeadLetter,
        tries: Tries,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        let why = tries.error.clone();
        let mut unit = self.unit();
        unit.revived.push(letter.id);
        unit.dead_letters.push(tried_again(letter, tries));
        wish.failed(&mut unit);
        match self.core.store.commit(unit).await {
            // Somebody else took it in the meantime, and knows what became of it.
            Err(store::Error::Moved { .. }) => Ok(Revived::Done),
            committed => committed.map(|()| Revived::Failed(why)).map_err(Into::into),
        }
    }
}
