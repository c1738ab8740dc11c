//! Keeps house: lets go what waits for nothing, and forgets what nobody needs any more.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::{error, info};

use super::{
    Stop,
    handle::Handler,
    park::{YOUNG, horizon, position},
    react::handler_names,
    sagas,
};
use crate::{
    error::Result,
    health::Health,
    message::Kind,
    saga,
    store::{LetterFilter, Old, Position, Reason},
};

/// How long after a consumer began anew it is looked for what waits for nothing: others begin anew with it.
const LOOK: Duration = Duration::from_secs(1);

/// How many rows are read or removed at once: others want to write, too.
const BITE: u32 = 1000;

/// Looks after what is left in one service's store.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    pub(crate) handler: Handler,
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
    /// How long it is remembered what was handled.
    pub(crate) retention: Duration,
}

impl Keeper {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        self.health.up(&self.name);
        // Not at once: what waited while nobody ran here is to be handled before anything is forgotten.
        let pause = (self.retention / 24).clamp(Duration::from_secs(60), Duration::from_secs(3600));
        let mut forgot = Instant::now();
        self.read_mail().await;
        loop {
            self.sweep(&stop).await;
            let rest = pause.saturating_sub(forgot.elapsed());
            tokio::select! {
                slept = stop.sleep(rest) => if !slept { return Ok(()) },
                // A consumer that fails leaves what it was letting go.
                () = self.handler.loose.notified() => if !stop.sleep(LOOK).await { return Ok(()) },
            }
            if forgot.elapsed() >= pause {
                self.forget().await?;
                // Another build may have put something there meanwhile.
                self.read_mail().await;
                forgot = Instant::now();
            }
        }
    }

    /// Moves sagas that are stuck, if builds that did not know them were told what they need.
    async fn read_mail(&self) {
        let core = &self.handler.core;
        if let Err(e) = sagas::read_mail(core).await {
            error!(service = core.name, error = ?e, "what waits in stuck sagas was not read");
        }
    }

    /// Lets events go that wait for nothing any more: whoever handled what stood before them did not come to them.
    /// A letter that cannot be read, or let go, holds up none of the others.
    pub(super) async fn sweep(&self, stop: &Stop) {
        for reason in [Reason::Behind, Reason::Gap] {
            if let Err(e) = self.sweep_of(reason, stop).await {
                error!(service = self.handler.core.name, %reason, error = ?e, "what waits was not looked through");
            }
        }
    }

    async fn sweep_of(&self, reason: Reason, stop: &Stop) -> Result<()> {
        let mut page = LetterFilter {
            kind: Some(Kind::Event),
            reason: Some(reason),
            ..LetterFilter::all(BITE)
        };
        let mut before = None;
        loop {
            let letters = self.handler.core.store.dead_letters(&page).await?;
            let Some((last, _)) = letters.last() else {
                return Ok(());
            };
            page.after = *last;
            for (_, letter) in letters {
                if stop.stopped() {
                    return Ok(());
                }
                let Some(place) = self.handler.place(&letter) else {
                    continue;
                };
                let this = Some((letter.consumer.clone(), letter.key.clone()));
                if before != this {
                    if let Err(e) = self.handler.drain(place, &letter.key).await {
                        let (consumer, key) = (&letter.consumer, &letter.key);
                        error!(consumer, key, error = ?e, "what waits was not let go");
                    }
                    before = this;
                }
            }
        }
    }

    /// Forgets what is older than the retention.
    pub(super) async fn forget(&self) -> Result<()> {
        let core = &self.handler.core;
        let retention = TimeDelta::from_std(self.retention).unwrap_or(TimeDelta::MAX);
        let Some(until) = core.clock.now().checked_sub_signed(retention) else {
            return Ok(());
        };
        // A row is as old as its unit of work, a message as old as its sender says. In between there may be some
        // difference of clocks, so what is removed is older than what is not believed any more.
        let before = until - YOUNG;
        let mut forgotten = 0;
        let mut consumers = vec![core.name.clone(), sagas::CONSUMER.to_owned()];
        consumers.extend(self.handler.handlers.iter().flat_map(handler_names));
        for consumer in consumers {
            // First the horizon, then the rows: so nobody finds neither.
            self.raise(&horizon(&consumer), position(until)).await?;
            let inbox = Old::Inbox { consumer };
            forgotten += self.purge(&inbox, before).await?;
        }
        for prefix in ["http:", "parked:"] {
            let inbox = Old::Inboxes {
                prefix: prefix.to_owned(),
            };
            forgotten += self.purge(&inbox, before).await?;
        }
        for status in saga::ENDED {
            let sagas = Old::Sagas {
                status: (*status).to_owned(),
            };
            forgotten += self.purge(&sagas, before).await?;
        }
        if forgotten > 0 {
            info!(service = core.name, rows = forgotten, %until, "forgot what is old");
        }
        Ok(())
    }

    /// Moves a horizon forward; it never moves back.
    async fn raise(&self, name: &str, to: Position) -> Result<()> {
        let store = &self.handler.core.store;
        loop {
            let cursor = store.cursor(name).await?;
            if cursor.position >= to || store.move_cursor(name, cursor, to).await? {
                return Ok(());
            }
        }
    }

    async fn purge(&self, old: &Old, before: DateTime<Utc>) -> Result<u64> {
        let mut all = 0;
        loop {
            let some = self.handler.core.store.purge(old, before, BITE).await?;
            all += some;
            if some < BITE.into() {
                return Ok(all);
            }
        }
    }
}
