//! Units of one hot aggregate, committed together: pipelining.
//!
//! While a unit is on its way to the store, the next handler of the same aggregate runs already, on the state that
//! the unit will have made. The guard (version, last event) of each unit names the one before it, so the store takes
//! a chain only from its beginning: if one fails, all behind it conflict and their handlers run again. No answer
//! leaves before everything that its handler read is durable.
//!
//! After a foreign commit has broken a chain, its aggregate is written one unit at a time for a while: somebody else
//! writes it as well, and a long chain would lose against short ones again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};

use super::{Core, run::commit};
use crate::store::{self, Head, StreamId, UnitOfWork};

/// Who works on one aggregate: one handler at a time, and the units that are on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(super) turn: Arc<AsyncMutex<()>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the last of them makes; [`None`] if there are none, or if one failed.
    tip: Option<(Head, Lean)>,
    /// Those that wait for the commit that is under way.
    waiting: Vec<Link>,
    /// Whether somebody commits them.
    running: bool,
    /// How many units must get through by themselves before there is a chain again.
    alone: u32,
}

/// How many units get through by themselves after a chain was broken.
const ALONE: u32 = 32;

/// One unit of a chain.
#[derive(Debug)]
struct Link {
    unit: UnitOfWork,
    durable: watch::Sender<Option<bool>>,
    outcome: oneshot::Sender<store::Result<()>>,
}

/// What was read before it was durable.
#[derive(Debug, Clone)]
pub(crate) struct Lean {
    stream: StreamId,
    version: u64,
    durable: watch::Receiver<Option<bool>>,
}

impl Lean {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// [`store::Error::Conflict`] if it never will be.
    pub(crate) async fn settled(mut self, core: &Core) -> store::Result<()> {
        let durable = self.durable.wait_for(Option::is_some).await;
        if durable.is_ok_and(|done| *done == Some(true)) {
            return Ok(());
        }
        let found = core.store.load(std::slice::from_ref(&self.stream)).await?;
        Err(store::Error::Conflict {
            expected: self.version,
            actual: found.into_iter().flatten().map(|h| h.guard.version).sum(),
            stream: self.stream,
        })
    }
}

impl Chain {
    /// What the aggregate will be once all units on their way are durable, if there are any.
    pub(crate) fn tip(&self) -> Option<(Head, Lean)> {
        self.state().tip.clone()
    }

    /// Hands a unit over that makes `head`. The caller holds the slot, and may give it up after this.
    ///
    /// [`None`] if the chain is broken: the caller must commit the unit itself, holding the slot, and then
    /// [`mend`](Self::mend) the chain.
    pub(crate) fn append(
        self: &Arc<Self>,
        core: &Arc<Core>,
        unit: &UnitOfWork,
        stream: &StreamId,
        head: &Head,
    ) -> Option<oneshot::Receiver<store::Result<()>>> {
        let mut state = self.state();
        if state.alone > 0 {
            return None;
        }
        let (durable, seen) = watch::channel(None);
        let (outcome, outcomes) = oneshot::channel();
        let lean = Lean {
            stream: stream.clone(),
            version: head.guard.version,
            durable: seen,
        };
        state.tip = Some((head.clone(), lean));
        state.waiting.push(Link {
            unit: unit.clone(),
            durable,
            outcome,
        });
        if !state.running {
            state.running = true;
            core.runtime.spawn(self.clone().run(core.clone()));
        }
        Some(outcomes)
    }

    /// A unit got through by itself.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.alone = state.alone.saturating_sub(1);
    }

    /// Commits what waits until nothing does.
    async fn run(self: Arc<Self>, core: Arc<Core>) {
        loop {
            let links = {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    state.running = false;
                    state.tip = None;
                    return;
                }
                std::mem::take(&mut state.waiting)
            };
            // Polled in their order: the store gets them in their order, and may commit them together.
            let commits = links.iter().map(|link| commit(&core, link.unit.clone()));
            let outcomes = join_all(commits).await;
            if outcomes.iter().any(Result::is_err) {
                let mut state = self.state();
                (state.tip, state.alone) = (None, ALONE);
            }
            for (link, outcome) in links.into_iter().zip(outcomes) {
                link.durable.send_replace(Some(outcome.is_ok()));
                // Nobody waits if the caller went away.
                link.outcome.send(outcome).ok();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Condvar,
        atomic::{AtomicBool, Ordering},
    };

    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;
    use crate::{
        context::{Context, Job, Origin, Work, run, tests::core},
        enroute::{Answer, BoxFuture, Role},
        error::{Failure, Kind},
        message::Headers,
        payload::Payload,
        store::{Guard, NewEvent, Store, Write, memory},
        testing::{Moment, ObservedStore, Observer},
    };

    fn stream() -> StreamId {
        StreamId::new("Foo", Uuid::from_u128(1))
    }

    fn foreign(version: u64, expected: Option<Guard>) -> UnitOfWork {
        let at = chrono::DateTime::UNIX_EPOCH;
        let mut unit = UnitOfWork::new(Uuid::new_v4(), at);
        unit.writes.push(Write {
            stream: stream(),
            expected,
            events: vec![NewEvent {
                id: Uuid::from_u128(100 + u128::from(version)),
                name: "FooUpdated".to_owned(),
                payload: Payload::null(),
                headers: Headers::default(),
            }],
            state: Some(Payload::from_text("\"foreign\"")),
            claims: Vec::new(),
        });
        unit
    }

    async fn created() -> Arc<memory::Store> {
        let store = Arc::new(memory::Store::new());
        store.commit(foreign(1, None)).await.unwrap();
        store
    }

    /// What a unit does with what it sees.
    struct Sees {
        name: &'static str,
        refuses: bool,
        seen: Mutex<Vec<(u64, String)>>,
        ran: Arc<Flag>,
    }

    impl Work for Sees {
        fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
            Box::pin(async move {
                let now = cx.track(&stream()).await.unwrap().unwrap();
                let state: String = now.state.unwrap().decode().unwrap();
                self.seen.lock().unwrap().push((now.version, state.clone()));
                self.ran.raise();
                if self.refuses {
                    let text = format!("{} {state}", now.version);
                    return Answer::Failed(Failure::new(Kind::Conflict, text));
                }
                let event = ("FooUpdated".to_owned(), Payload::null());
                let state = Payload::encode(self.name).unwrap();
                cx.stage_event(&stream(), now.version, event, Some(state), Vec::new())
                    .unwrap();
                Answer::Done {
                    status: 204,
                    body: None,
                }
            })
        }
    }

    fn job() -> Job {
        Job {
            role: Role::Command,
            origin: Origin::default(),
        }
    }

    /// Something that happened, for a thread that waits for it.
    #[derive(Debug, Default)]
    struct Flag(Mutex<bool>, Condvar);

    impl Flag {
        fn raise(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }

        fn wait(&self) {
            let patience = std::time::Duration::from_secs(20);
            let up = self.0.lock().unwrap();
            let (_up, late) = self.1.wait_timeout_while(up, patience, |up| !*up).unwrap();
            assert!(!late.timed_out(), "nobody came");
        }
    }

    /// Holds the first commit back until the second handler has run, then lets a foreign one in before it.
    #[derive(Debug)]
    struct Intruder {
        store: Arc<memory::Store>,
        second_ran: Arc<Flag>,
        first_submitted: Arc<Flag>,
        done: AtomicBool,
    }

    #[async_trait::async_trait]
    impl Observer for Intruder {
        async fn before(&self, _moment: Moment<'_>) {
            if self.done.swap(true, Ordering::SeqCst) {
                return;
            }
            self.first_submitted.raise();
            self.second_ran.wait();
            let expected = Guard {
                version: 1,
                tail: Uuid::from_u128(101),
            };
            let commit = self.store.commit(foreign(2, Some(expected)));
            commit.now_or_never().unwrap().unwrap();
        }

        async fn after(&self, _moment: Moment<'_>) {}
    }

    /// The second handler runs while the first one's unit is on its way; that unit fails because of a foreign commit.
    async fn intruded(refuses: bool) -> (Arc<memory::Store>, Sees, Answer) {
        let store = created().await;
        let flags = (Arc::<Flag>::default(), Arc::<Flag>::default());
        let intruder = Arc::new(Intruder {
            store: store.clone(),
            second_ran: flags.1.clone(),
            first_submitted: flags.0.clone(),
            done: AtomicBool::new(false),
        });
        let core = core(Arc::new(ObservedStore::new(store.clone(), intruder)));
        let sees = |name, refuses, ran| Sees {
            name,
            refuses,
            seen: Mutex::default(),
            ran,
        };
        let first = tokio::spawn({
            let (core, work) = (core.clone(), sees("first", false, Arc::default()));
            async move { run(&core, job(), &work, |_, _| true).await }
        });
        let submitted = flags.0.clone();
        tokio::task::spawn_blocking(move || submitted.wait())
            .await
            .unwrap();
        let second = sees("second", refuses, flags.1);
        let answer = run(&core, job(), &second, |_, answer| {
            matches!(answer, Answer::Done { .. })
        })
        .await
        .unwrap();
        first.await.unwrap().unwrap();
        (store, second, answer)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_foreign_commit_between_two_links_reruns_both() {
        let (store, second, _) = intruded(false).await;
        let seen = second.seen.into_inner().unwrap();
        assert_eq!(seen.first(), Some(&(2, "first".to_owned())), "{seen:?}");
        assert!(seen.len() > 1, "{seen:?}");
        let head = store.load(&[stream()]).await.unwrap().remove(0).unwrap();
        // The creation, the foreign one, and each of both once.
        assert_eq!(head.guard.version, 4);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_error_that_was_decided_on_a_state_that_never_was_does_not_leave() {
        let (_, second, answer) = intruded(true).await;
        let seen = second.seen.into_inner().unwrap();
        assert_eq!(seen.first(), Some(&(2, "first".to_owned())), "{seen:?}");
        let Answer::Failed(failure) = answer else {
            panic!("{answer:?}");
        };
        let text = failure.to_string();
        assert!(
            text.contains("2 foreign") || text.contains("3 first"),
            "{text}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_was_answered_is_durable_and_counted_once() {
        let store = created().await;
        let core = core(store.clone());
        let tasks = (0..16).map(|_| {
            let (core, store) = (core.clone(), store.clone());
            tokio::spawn(async move {
                for _ in 0..25 {
                    let work = Sees {
                        name: "one",
                        refuses: false,
                        seen: Mutex::default(),
                        ran: Arc::default(),
                    };
                    run(&core, job(), &work, |_, _| true).await.unwrap();
                    let seen = work.seen.into_inner().unwrap();
                    let head = store.load(&[stream()]).await.unwrap().remove(0).unwrap();
                    assert!(head.guard.version > seen.last().unwrap().0);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let head = store.load(&[stream()]).await.unwrap().remove(0).unwrap();
        assert_eq!(head.guard.version, 401);
    }
}
