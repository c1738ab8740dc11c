//! A saga by itself: its messages are looked at and answered by the test, its local steps run on a store in memory.
//!
//! Nothing is sent anywhere and time stands still, so a test is a script: what is sent, how it is answered, how the
//! saga ends. Every expectation that does not hold fails the test at its own line.

use std::{
    collections::VecDeque, fmt, future::Future, marker::PhantomData, sync::Arc, time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    clock::{Clock, FixedClock},
    context::{Context, Core, Limits, Slots},
    enroute::{BoxFuture, Resources},
    error::{self, Error, ErrorModel, Result},
    message::{Headers, Kind, Message, Status, replies_topic},
    payload::Payload,
    runtime,
    saga::{Saga, SagaEntry, Signal, StepTarget, run::Run},
    service::in_unit,
    store::{Position, SagaRow, memory},
};

/// The name of the service that the saga believes to be in.
const SERVICE: &str = "test";
/// After so many rounds at one moment something turns in a circle.
const ROUNDS: usize = 1000;

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

    /// Expects that the next message is this one.
    #[track_caller]
    #[must_use]
    pub fn expect_sent<C: StepTarget + Serialize>(self, content: C) -> Self {
        self.next(&content, "the message", |sent| {
            sent.message.kind != Kind::Void && !sent.undo
        })
    }

    /// Expects that the next message is this one, and that it undoes something.
    #[track_caller]
    #[must_use]
    pub fn expect_compensated<C: StepTarget + Serialize>(self, content: C) -> Self {
        self.next(&content, "the compensation", |sent| sent.undo)
    }

    /// Expects that the participant is asked whether this command ran, and not to run it any more. Answer with
    /// [`reply`](Self::reply) if it ran, with [`voided`](Self::voided) if it did not.
    #[track_caller]
    #[must_use]
    pub fn expect_void<C: StepTarget>(mut self) -> Self {
        self.begin();
        match self.sent.pop_front() {
            Some(sent) if sent.message.kind == Kind::Void && sent.message.name == C::NAME => {}
            Some(other) => failed(&format!("expected a void of `{}`, found {other}", C::NAME)),
            None => self.nothing(&format!("a void of `{}`", C::NAME)),
        }
        self
    }

    /// Expects that no other message was sent.
    #[track_caller]
    pub fn expect_nothing_sent(mut self) -> Self {
        self.begin();
        if let Some(sent) = self.sent.front() {
            failed(&format!("expected no message, found {sent}"));
        }
        self
    }

    /// The oldest unanswered message is answered. The answer to a contract without a reply is `()`.
    #[track_caller]
    #[must_use]
    pub fn reply<R: Serialize>(self, reply: R) -> Self {
        self.answer(None, Status::Done, &reply)
    }

    /// The oldest unanswered message of this contract is answered: for steps of a parallel group.
    #[track_caller]
    #[must_use]
    pub fn reply_to<C: StepTarget<Reply: Serialize>>(self, reply: C::Reply) -> Self {
        self.answer(Some(C::NAME), Status::Done, &reply)
    }

    /// The oldest unanswered message is refused in the participant's words.
    #[track_caller]
    #[must_use]
    pub fn refuse<E: ErrorModel + Serialize>(self, error: E) -> Self {
        self.answer(None, Status::Refused, &error)
    }

    /// The oldest unanswered message of this contract is refused.
    #[track_caller]
    #[must_use]
    pub fn refuse_to<C: StepTarget<Error: Serialize>>(self, error: C::Error) -> Self {
        self.answer(Some(C::NAME), Status::Refused, &error)
    }

    /// The oldest unanswered message cannot be handled.
    #[track_caller]
    #[must_use]
    pub fn fail(self, why: &str) -> Self {
        self.answer(None, Status::Failed, why)
    }

    /// The oldest unanswered message of this contract cannot be handled.
    #[track_caller]
    #[must_use]
    pub fn fail_to<C: StepTarget>(self, why: &str) -> Self {
        self.answer(Some(C::NAME), Status::Failed, why)
    }

    /// The participant never ran the oldest unanswered command, and never will.
    #[track_caller]
    #[must_use]
    pub fn voided(self) -> Self {
        self.answer(None, Status::Voided, &())
    }

    /// A signal comes.
    #[track_caller]
    #[must_use]
    pub fn signal<C: Signal>(mut self, content: C) -> Self {
        self.begin();
        let content = encode(&content);
        self.tell(Kind::Signal, C::NAME, self.id, content, |_| {});
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

    /// Expects how the saga stands.
    #[track_caller]
    pub fn expect_end(mut self, end: End) -> Self {
        self.begin();
        let row = self.row(self.id);
        if row.status != end.as_str() {
            let why = Run::of(&row).ok().and_then(|run| run.error);
            let why = why.map_or_else(String::new, |e| format!(" ({}: {})", e.step, e.text));
            failed(&format!(
                "expected that the saga is {}, it is {}{why}",
                end.as_str(),
                row.status
            ));
        }
        self
    }

    /// Expects the saga's own state.
    #[track_caller]
    pub fn expect_state(self, state: S) -> Self
    where
        S: PartialEq + fmt::Debug,
    {
        let mut this = self;
        this.begin();
        let found = this.state();
        if found != state {
            failed(&format!("expected the state {state:?}, found {found:?}"));
        }
        this
    }

    /// Expects something of what the unit of work sees, such as the aggregates that local steps have made.
    #[track_caller]
    pub fn expect<T: Send>(
        mut self,
        look: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Self {
        self.begin();
        self.given(look)
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

    #[track_caller]
    fn next<C: StepTarget + Serialize>(
        mut self,
        content: &C,
        what: &str,
        fits: impl Fn(&Sent) -> bool,
    ) -> Self {
        self.begin();
        let content = encode(content);
        let wanted = format!("{what} `{}` {content:?}", C::NAME);
        let Some(sent) = self.sent.pop_front() else {
            self.nothing(&wanted);
        };
        let same = json(&sent.message.payload) == json(&content);
        if !(fits(&sent) && sent.message.name == C::NAME && same) {
            failed(&format!("expected {wanted}, found {sent}"));
        }
        self
    }

    #[track_caller]
    fn answer<T: Serialize + ?Sized>(
        mut self,
        to: Option<&str>,
        status: Status,
        content: &T,
    ) -> Self {
        self.begin();
        let fits = |sent: &Sent| to.is_none_or(|name| sent.message.name == name);
        let Some(place) = self.asked.iter().position(fits) else {
            let of = to.map_or_else(String::new, |name| format!(" of `{name}`"));
            failed(&format!("no message{of} waits for an answer"));
        };
        let asked = self.asked.remove(place);
        let headers = &asked.message.headers;
        let (Some(saga), Some(command)) = (headers.saga, headers.command) else {
            failed(&format!("nobody waits for the answer to {asked}"));
        };
        // A void is about the same command: one answer is for both.
        self.asked
            .retain(|other| other.message.headers.command != Some(command));
        let payload = encode(content);
        self.tell(Kind::Reply, &asked.message.name, saga, payload, |headers| {
            headers.command = Some(command);
            headers.status = Some(status);
        });
        self
    }

    #[track_caller]
    fn tell(
        &mut self,
        kind: Kind,
        name: &str,
        saga: Uuid,
        payload: Payload,
        head: impl FnOnce(&mut Headers),
    ) {
        let core = self.core.clone();
        let mut headers = Headers {
            saga: Some(saga),
            ..Headers::default()
        };
        head(&mut headers);
        let message = Message {
            id: core.clock.new_uuid(),
            kind,
            topic: replies_topic(SERVICE),
            name: name.to_owned(),
            key: saga.to_string(),
            at: core.clock.now(),
            headers,
            payload,
        };
        if let Err(e) = self.wait(tell(&core, &message)) {
            failed(&format!("the saga cannot take it: {e}"));
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

    #[track_caller]
    fn nothing(&self, wanted: &str) -> ! {
        let row = self.row(self.id);
        failed(&format!(
            "expected {wanted}, found no message; the saga is {}",
            row.status
        ))
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

/// Delivers what the saga (or one inside it) tells itself, and runs what is due now; answers what was sent to others.
async fn settle(core: &Arc<Core>, mut seen: Position) -> Result<(Position, Vec<Sent>)> {
    let own = replies_topic(&core.name);
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let messages = core.store.outbox(seen, 100).await?;
        let rows = core.store.due_sagas(core.clock.now(), 100).await?;
        if messages.is_empty() && rows.is_empty() {
            return Ok((seen, all));
        }
        for (position, message) in messages {
            seen = position;
            if message.topic == own {
                tell(core, &message).await?;
            } else {
                let undo = undoes(core, &message).await?;
                all.push(Sent { message, undo });
            }
        }
        for row in rows {
            runtime::drive(core, row, true).await?;
        }
    }
    failed("the saga moves for ever without an answer and without time")
}

/// Hands an answer or a signal to its saga.
async fn tell(core: &Core, message: &Message) -> Result<()> {
    let saga = message.headers.saga.unwrap_or_default();
    let row = core.store.saga(saga).await?;
    let row = row.ok_or_else(|| Error::new(error::Kind::NotFound, "there is no such saga"))?;
    let moved = runtime::told(core, row, message)?;
    Ok(runtime::commit(core, moved, Some(message.id)).await?)
}

/// Whether a message is of a compensation.
async fn undoes(core: &Core, message: &Message) -> Result<bool> {
    let Some(saga) = message.headers.saga else {
        return Ok(false);
    };
    let Some(row) = core.store.saga(saga).await? else {
        return Ok(false);
    };
    let run = Run::of(&row)?;
    let of = |command| run.executions.iter().find(|e| e.command == command);
    Ok(message.headers.command.and_then(of).is_some_and(|e| e.undo))
}

#[track_caller]
fn encode<T: Serialize + ?Sized>(content: &T) -> Payload {
    Payload::encode(content).unwrap_or_else(|e| failed(&e.to_string()))
}

fn json(payload: &Payload) -> Option<Value> {
    payload.decode().ok()
}

/// Fails the test at the line of its caller.
#[track_caller]
#[allow(clippy::panic, reason = "this is how a test fails")]
fn failed(why: &str) -> ! {
    panic!("{why}")
}
