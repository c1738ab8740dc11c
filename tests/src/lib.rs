//! A service on trial: its handlers do what tests want to see done, or undone.

use std::sync::atomic::{AtomicU32, Ordering};

use minos::prelude::*;
use minos::sqlx;

mod careless;

pub use self::careless::{Again, Careless, Doubled, Otherwise, Ran};

minos::service!("trial");

/// A number.
#[aggregate]
pub struct Counter {
    /// How far it has come.
    pub value: i64,
    /// A name that no two counters share.
    #[unique]
    pub name: Option<String>,
}

/// Which counter.
#[model]
pub struct CounterId {
    /// Its id.
    pub uuid: Uuid,
}

/// A new counter.
#[model]
pub struct NewCounter {
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
}

/// How a counter stands.
#[model]
pub struct CounterState {
    /// How far it has come.
    pub value: i64,
    /// How many events it had.
    pub version: u64,
}

/// How a handler that did everything ends.
#[model]
pub enum End {
    /// It succeeds.
    Ok,
    /// It fails.
    Err,
    /// It refuses.
    Refuse,
    /// It panics.
    Panic,
    /// It waits for ever.
    Hang,
}

/// Do one of everything, then end like this.
#[model]
pub struct Everything {
    /// How it ends.
    pub end: End,
}

/// Something to be told.
#[contract]
pub struct Note {
    /// What.
    pub text: String,
}

/// Something happened.
#[contract(event)]
pub struct Noted {
    /// What.
    pub text: String,
}

/// A handler's refusal.
#[error_model]
pub enum TrialError {
    /// It was told to.
    #[error(status = 409, "it was told to refuse")]
    Told,
}

/// A saga with one local step.
#[model]
pub struct Noting {
    /// What to note.
    pub text: String,
}

#[saga]
impl Noting {
    /// Notes it.
    #[step]
    async fn note(&mut self, cx: &Context) -> Result<()> {
        let name = Some(format!("saga {}", self.text));
        Counter::create(cx, Counter { value: 0, name })?;
        Ok(())
    }
}

/// How often the handler that does everything was entered.
pub static ENTERED: AtomicU32 = AtomicU32::new(0);

/// Commands.
#[derive(Debug, Default)]
pub struct Commands;

#[command_service]
impl Commands {
    /// A new counter.
    #[enroute::rest::command("/counters", "POST")]
    async fn create(&self, cx: &Context, request: Request<NewCounter>) -> Result<CounterId> {
        let name = request.into_content().name;
        Ok(CounterId {
            uuid: Counter::create(cx, Counter { value: 0, name })?.uuid(),
        })
    }

    /// One more.
    #[enroute::rest::command("/counters/{uuid}/increment", "POST")]
    async fn increment(
        &self,
        cx: &Context,
        request: Request<(), CounterId>,
    ) -> Result<CounterState> {
        let mut counter = Counter::get(cx, request.params().uuid).await?;
        counter.value += 1;
        counter.save(cx)?;
        Ok(CounterState {
            value: counter.value,
            version: counter.version(),
        })
    }

    /// Moves one from a counter to another.
    #[enroute::rest::command("/counters/{from}/move/{to}", "POST")]
    async fn transfer(&self, cx: &Context, request: Request<(), Transfer>) -> Result<()> {
        let Transfer { from, to } = *request.params();
        let mut a = Counter::get(cx, from).await?;
        let mut b = Counter::get(cx, to).await?;
        a.value -= 1;
        b.value += 1;
        a.save(cx)?;
        b.save(cx)
    }

    /// Does one of everything, then ends as it is told.
    #[enroute::rest::command("/everything", "POST")]
    async fn everything(
        &self,
        cx: &Context,
        request: Request<Everything>,
    ) -> Result<(), Error<TrialError>> {
        ENTERED.fetch_add(1, Ordering::SeqCst);
        Counter::create(
            cx,
            Counter {
                value: 7,
                name: None,
            },
        )?;
        cx.send(Note {
            text: "sent".to_owned(),
        })?;
        cx.publish(Noted {
            text: "published".to_owned(),
        })?;
        cx.start(Noting {
            text: cx.new_uuid().to_string(),
        })?;
        cx.schedule(
            cx.now(),
            Note {
                text: "scheduled".to_owned(),
            },
        )?;
        let sql = cx.sql::<sqlx::Sqlite>();
        sqlx::query("create table if not exists trial_rows (n integer)")
            .execute(sql)
            .await?;
        sqlx::query("insert into trial_rows values (1)")
            .execute(sql)
            .await?;
        match request.content().end {
            End::Ok => Ok(()),
            End::Err => Err(Error::new(
                minos::error::Kind::Invalid,
                "it was told to fail",
            )),
            End::Refuse => Err(TrialError::Told)?,
            #[allow(clippy::panic, reason = "that is what this is for")]
            End::Panic => panic!("it was told to panic"),
            End::Hang => std::future::pending().await,
        }
    }

    /// Is told something.
    #[enroute::broker::command(Note)]
    async fn note(&self, cx: &Context, request: Request<Note>) -> Result<()> {
        Counter::create(
            cx,
            Counter {
                value: 1,
                name: Some(format!("note {} {}", request.content().text, cx.new_uuid())),
            },
        )?;
        Ok(())
    }
}

/// From where to where.
#[model]
#[derive(Copy)]
pub struct Transfer {
    /// This one loses one.
    pub from: Uuid,
    /// This one wins one.
    pub to: Uuid,
}

/// How many of each there are.
#[model]
pub struct Counts {
    /// Counters.
    pub counters: i64,
    /// Rows of hand-written SQL.
    pub rows: i64,
}

/// Queries.
#[derive(Debug, Default)]
pub struct Queries;

#[query_service]
impl Queries {
    /// How a counter stands.
    #[enroute::rest::query("/counters/{uuid}", "GET")]
    async fn counter(&self, cx: &Context, request: Request<(), CounterId>) -> Result<CounterState> {
        let counter = Counter::get(cx, request.params().uuid).await?;
        Ok(CounterState {
            value: counter.value,
            version: counter.version(),
        })
    }
}
