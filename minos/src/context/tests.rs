//! A unit of work dropped at any moment, and one whose outcome stays unknown.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context as Wake, Poll, Waker},
};

use super::{Context, Core, Job, Limits, Origin, Slots, Soon, Work, run};
use crate::{
    clock::SystemClock,
    enroute::{Answer, BoxFuture, Resources, Role},
    payload::Payload,
    store::{Position, Store, StreamId, ViewWrite, memory},
};

pub(super) fn core(store: Arc<dyn Store>) -> Arc<Core> {
    Arc::new(Core {
        name: "s".to_owned(),
        store,
        clock: Arc::new(SystemClock),
        slots: Slots::default(),
        resources: Resources::default(),
        sagas: BTreeMap::new(),
        soon: Soon::default(),
        limits: Limits {
            resubmits: 2,
            ..Limits::default()
        },
        runtime: tokio::runtime::Handle::current(),
        fatal: tokio::sync::watch::Sender::new(None),
    })
}

/// Reads two aggregates, writes one, keeps a view; gives the runtime a chance in between.
struct Sample(StreamId, StreamId);

impl Work for Sample {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            cx.track(&self.0).await.unwrap();
            tokio::task::yield_now().await;
            cx.track(&self.1).await.unwrap();
            let event = ("FooCreated".to_owned(), Payload::null());
            cx.stage_event(&self.0, 0, event, Some(Payload::null()), Vec::new())
                .unwrap();
            let row = Some(Payload::null());
            cx.stage_view(ViewWrite {
                view: "V".to_owned(),
                key: "k".to_owned(),
                row,
            });
            tokio::task::yield_now().await;
            Answer::Done {
                status: 204,
                body: None,
            }
        })
    }
}

#[tokio::test]
async fn a_unit_dropped_at_any_await_is_done_whole_or_not_at_all() {
    let (mut nothing, mut whole) = (0, 0);
    for polls in 0..40 {
        let store = Arc::new(memory::Store::new());
        let core = core(store.clone());
        let sample = Sample(
            StreamId::new("Foo", uuid::Uuid::from_u128(1)),
            StreamId::new("Foo", uuid::Uuid::from_u128(2)),
        );
        {
            let job = Job {
                role: Role::Command,
                origin: Origin::default(),
            };
            let mut unit = pin!(run(&core, job, &sample, |_, _| true));
            for _ in 0..polls {
                let mut wake = Wake::from_waker(Waker::noop());
                if let Poll::Ready(outcome) = unit.as_mut().poll(&mut wake) {
                    outcome.unwrap();
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // What the runtime took over is finished once the aggregate's slot is free.
        drop(core.slots.take(&sample.0).await);
        let events = store.events(Position::START, 10).await.unwrap().len();
        let row = store.view("V", "k").await.unwrap().is_some();
        match (events, row) {
            (0, false) => nothing += 1,
            (1, true) => whole += 1,
            other => panic!("half done after {polls} polls: {other:?}"),
        }
    }
    assert!(
        nothing > 2 && whole > 2,
        "{nothing} times nothing, {whole} times all"
    );
}
