//! Dead letters on their way back: through the same handlers, in the order of their key.

use super::{
    event::{Stands, done, stands, subject},
    handle::{Commanded, Handler, Incoming},
    park::{Tries, tried_again},
    sagas,
};
use crate::{
    enroute::{Answer, Handlers},
    error::Result,
    message::Kind,
    store::{self, DeadLetter, Reason, UnitOfWork, ViewWrite},
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

impl Handler {
    /// Hands what waits in a key to its impl block, as far as nothing that failed stands before it.
    pub(super) async fn drain(&self, handlers: &Handlers, key: &str) -> Result<Vec<DeadLetter>> {
        let mut drained = Vec::new();
        while let Some(letter) = self.core.store.first_parked(handlers.name, key).await? {
            if !matches!(letter.reason, Reason::Behind | Reason::Gap) {
                break;
            }
            match self
                .revive_event(handlers, &letter, Wish::default())
                .await?
            {
                Revived::Done => drained.push(letter),
                Revived::Failed(_) | Revived::Held(_) => break,
            }
        }
        Ok(drained)
    }

    /// Hands a parked event to its impl block once more. The caller sees to it that it is the first of its key.
    pub(super) async fn revive_event(
        &self,
        handlers: &Handlers,
        letter: &DeadLetter,
        wish: Wish<'_>,
    ) -> Result<Revived> {
        let message = &letter.message;
        let mut step = None;
        if let Some((stream, reached)) = subject(message) {
            let mark = self.core.store.mark(handlers.name, &stream).await?;
            match stands(handlers, (&stream, reached), mark, letter.origin.is_none()) {
                Stands::Seen if letter.reason != Reason::Fork => {}
                Stands::Next(mark) => step = Some(mark),
                Stands::Ahead(mark) if wish.force => step = Some(mark),
                Stands::Ahead(_) => {
                    let why =
                        "events before it are still missing; by force it is handled without them";
                    return Ok(Revived::Held(why.to_owned()));
                }
                Stands::Seen | Stands::Forked if wish.force => {}
                Stands::Seen | Stands::Forked => {
                    let why = "another event has its version: the log was forked; by force it is handled, too";
                    return Ok(Revived::Held(why.to_owned()));
                }
            }
        }
        let seal = |unit: &mut UnitOfWork| {
            unit.revived.push(letter.id);
            unit.marks.extend(step.clone());
            wish.done(unit);
        };
        match self.react(handlers, message, seal).await? {
            None => Ok(Revived::Done),
            Some(tries) => self.back(letter, tries, wish).await,
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
