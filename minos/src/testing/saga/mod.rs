//! A saga by itself: its messages are looked at and answered by the test, its local steps run on a store in memory.
//!
//! Nothing is sent anywhere and time stands still, so a test is a script: what is sent, how it is answered, how the
//! saga ends. Every expectation that does not hold fails the test at its own line.

mod answer;
mod expect;
mod settle;

use std::{
    collections::VecDeque, fmt, future::Future, marker::PhantomData, sync::Arc, time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use self::settle::settle;
use crate::{
    clock::{Clock, FixedClock},
    context::{Context, Core, Limits, Slots, Soon},
    enroute::{BoxFuture, Resources},
    error::Result,
    message::{Kind, Message},
    payload::Payload,
    saga::{Saga, SagaEntry, run::Run},
    service::in_unit,
    store::{Position, SagaRow, memory},
};

/// The name of the service that the saga believes to be in.
const SERVICE: &str = "test";

/// Tests a saga without any service, broker, or file.
///
/// ```
/// # use minos::prelude::*;
/// # minos::service!("docs");
/// # #[contract("Reserve", reply = Reserved)]
/// # pub struct Reserve { pub article: String }
/// # #[model]
/// # pub struct Reserved { pub number: u32 }
/// # #[contract("Release")]
/// # pub struct Release { pub number: u32 }
/// # #[contract("Pay")]
/// # pub struct Pay { pub number: u32 }
/// # #[model]
/// # pub struct Order { pub article: String, #[serde(default)] pub number: Option<u32> }
/// # #[saga]
/// # impl Order {
/// #     #[step(on_success = reserved, compensate = release)]
/// #     fn reserve(&self) -> Reserve { Reserve { article: self.article.clone() } }
/// #     fn reserved(&mut self, reply: Reserved) { self.number = Some(reply.number); }
/// #     fn release(&self) -> Release { Release { number: self.number.unwrap_or_default() } }
/// #     #[step]
/// #     fn pay(&self) -> Pay { Pay { number: self.number.unwrap_or_default() } }
/// # }
/// # fn main() {
/// minos::testing::saga(Order { article: "tea".to_owned(), number: None })
///     .expect_sent(Reserve { article: "tea".to_owned() })
///     .reply(Reserved { number: 7 })
///     .expect_sent(Pay { number: 7 })
///     .fail("the bank is closed")
///     .expect_compensated(Release { number: 7 })
///     .reply(())
///     .expect_end(minos::testing::End::Compensated);
/// # }
/// ```
#[track_caller]
pub fn saga<S: Saga>(state: S) -> SagaTest<S> {
    let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
    let clock = Arc::new(FixedClock::new(at));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap_or_else(|e| failed(&format!("no runtime for a test: {e}")));
    let sagas = inventory::iter::<SagaEntry>().map(|entry| (entry.name, (entry.flow)()));
    let core = Arc::new(Core {
        name: SERVICE.to_owned(),
        store: Arc::new(memory::Store::new()),
        clock: clock.clone(),
        slots: Slots::default(),
        resources: Resources::default(),
        sagas: sagas.collect(),
        soon: Soon::default(),
        limits: Limits::default(),
        runtime: runtime.handle().clone(),
        fatal: tokio::sync::watch::Sender::new(None),
    });
    SagaTest {
        core,
        clock,
        runtime: Some(runtime),
        state: Some(state),
        id: Uuid::nil(),
        seen: Position::START,
        sent: VecDeque::new(),
        asked: Vec::new(),
        of: PhantomData,
    }
}

/// How a saga ended, or that it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It waits for something.
    Running,
    /// It is being undone, and waits for something.
    Compensating,
    /// All steps are done.
    Completed,
    /// All that was done is undone.
    Compensated,
    /// It cannot go on by itself.
    Stuck,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            End::Running => "running",
            End::Compensating => "compensating",
            End::Completed => "completed",
            End::Compensated => "compensated",
            End::Stuck => "stuck",
        }
    }
}

/// A saga in a test: see [`saga`].
pub struct SagaTest<S> {
    core: Arc<Core>,
    clock: Arc<FixedClock>,
    runtime: Option<tokio::runtime::Runtime>,
    /// Until it is started.
    state: Option<S>,
    id: Uuid,
    seen: Position,
    /// What was sent and not looked at yet.
    sent: VecDeque<Sent>,
    /// What was sent and not answered yet, the oldest first.
    asked: Vec<Sent>,
    of: PhantomData<fn() -> S>,
}

/// A message, and whether it undoes something.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    undo: bool,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.message.kind, self.undo) {
            (Kind::Void, _) => "the question whether it ran: ",
            (_, true) => "the compensation ",
            (_, false) => "",
        };
        write!(
            f,
            "{what}`{}` {:?}",
            self.message.name, self.message.payload
        )
    }
}

impl<S> fmt::Debug for SagaTest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagaTest")
            .field("id", &self.id)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl<S> Drop for SagaTest<S> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test may itself be asynchronous, where a runtime must not be waited for.
            runtime.shutdown_background();
        }
    }
}

impl<S: Saga> SagaTest<S> {
    /// Does something in a unit of work first, such as creating what a local step looks for.
    #[track_caller]
    #[must_use]
    pub fn given<T: Send>(
        self,
        work: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Self {
        let core = self.core.clone();
        let done = self.wait(async { in_unit(&core, work).await });
        if let Err(e) = done {
            failed(&format!("what was given failed: {e}"));
        }
        self
    }

    /// Time passes until something is due: the end of an attempt, of a pause, of a deadline.
    #[track_caller]
    #[must_use]
    pub fn time_out(mut self) -> Self {
        self.begin();
        match self.next_due() {
            Some(due) => self.until(due),
            None => failed("nothing is due: no time that passes changes anything"),
        }
        self
    }

    /// Time passes; what is due on the way happens in its order.
    #[track_caller]
    #[must_use]
    pub fn pass(mut self, time: Duration) -> Self {
        self.begin();
        let end = self.clock.now() + time;
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            self.until(due);
        }
        self.until(end);
        self
    }

    /// The saga's own state.
    #[track_caller]
    pub fn state(&self) -> S {
        let state = Run::of(&self.row(self.id)).and_then(|run| run.state.decode());
        state.unwrap_or_else(|e| failed(&format!("the state cannot be read: {e}")))
    }

    #[track_caller]
    fn begin(&mut self) {
        let Some(state) = self.state.take() else {
            return;
        };
        let state = encode(&state);
        let core = self.core.clone();
        let started = self.wait(async {
            let decoded = |state: &Payload| state.decode::<S>();
            in_unit(&core, |cx| {
                let state = decoded(&state);
                Box::pin(async move { cx.start(state?) })
            })
            .await
        });
        match started {
            Ok(accepted) => self.id = accepted.0.saga,
            Err(e) => failed(&format!("the saga does not start: {e}")),
        }
        self.settle();
    }

    /// Lets everything happen that needs neither an answer nor time.
    #[track_caller]
    fn settle(&mut self) {
        let (core, seen) = (self.core.clone(), self.seen);
        let settled = self.wait(async { settle(&core, seen).await });
        let (seen, sent) =
            settled.unwrap_or_else(|e| failed(&format!("the saga cannot move: {e}")));
        self.seen = seen;
        let waits = |sent: &Sent| sent.message.headers.command.is_some();
        for sent in sent {
            let command = sent.message.headers.command;
            // Another attempt, or a void, of what was asked before is answered once.
            self.asked
                .retain(|other| command.is_none() || other.message.headers.command != command);
            if waits(&sent) {
                self.asked.push(sent.clone());
            }
            self.sent.push_back(sent);
        }
    }

    fn next_due(&self) -> Option<DateTime<Utc>> {
        let store = self.core.store.clone();
        self.wait(async { store.next_due().await.ok().flatten() })
    }

    #[track_caller]
    fn until(&mut self, at: DateTime<Utc>) {
        self.clock
            .advance((at - self.clock.now()).to_std().unwrap_or_default());
        self.settle();
    }

    #[track_caller]
    fn row(&self, id: Uuid) -> SagaRow {
        let store = self.core.store.clone();
        let row = self.wait(async { store.saga(id).await.ok().flatten() });
        row.unwrap_or_else(|| failed("the saga is gone"))
    }

    /// Waits in a thread of its own: the test may be asynchronous itself.
    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let Some(runtime) = &self.runtime else {
            failed("the test is over");
        };
        let waited = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
        waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[track_caller]
fn encode<T: Serialize + ?Sized>(content: &T) -> Payload {
    Payload::encode(content).unwrap_or_else(|e| failed(&e.to_string()))
}

/// Fails the test at the line of its caller.
#[track_caller]
#[allow(clippy::panic, reason = "this is how a test fails")]
fn failed(why: &str) -> ! {
    panic!("{why}")
}
