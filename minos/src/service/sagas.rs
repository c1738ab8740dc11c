//! The sagas of services that run: looked at, moved by hand, or waited for.

use std::{fmt::Write, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use super::{Running, start::Up};
use crate::{
    enroute::Door,
    error::{Error, Failure, Kind, Result},
    payload::Payload,
    runtime::Sagas,
    saga::{
        Saga, SagaId, Signal, Timeline, Undone, Wait,
        run::{Run, Status},
    },
    store::SagaRow,
};

/// The longest pause between two looks: another process may have moved it.
const POLL: Duration = Duration::from_millis(500);

impl Running {
    /// The sagas of a service, for operators.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such service.
    pub fn sagas(&self, service: &str) -> Result<Sagas> {
        let up = self.up(service).map(|up| Sagas::new(up.core.clone()));
        up.ok_or_else(|| Error::new(Kind::NotFound, format!("no service `{service}` runs here")))
    }

    /// Gives a saga of a service a signal, as one of its handlers does with `cx.signal(..)`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such service, [`Kind::Wiring`] if it has no sagas; or if the store fails.
    pub async fn signal<C: Signal>(&self, service: &str, saga: SagaId, content: C) -> Result<()> {
        self.unit(service, |cx| {
            let content = content.clone();
            Box::pin(async move { cx.signal(saga, content) })
        })
        .await
    }

    /// Starts a saga in the service that it belongs to, and waits for its end; answers its last state.
    ///
    /// ```no_run
    /// # async fn example<AddFooBar: minos::saga::Saga>(running: minos::Running, saga: AddFooBar)
    /// #     -> Result<(), minos::Error<minos::saga::Undone>> {
    /// let done = running.run(saga, std::time::Duration::from_secs(10)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Undone`] if it was undone. [`Kind::Wiring`] if no service here has this saga, or more than one; [`Kind::Conflict`] if
    /// it is stuck; [`Kind::TimedOut`] if it did not end in time, with what it waits for and whether anybody of this
    /// process answers that. Then it goes on all the same.
    pub async fn run<S: Saga>(&self, saga: S, limit: Duration) -> Result<S, Error<Undone>> {
        let mut having = self
            .services
            .iter()
            .filter(|up| up.core.sagas.contains_key(S::NAME));
        let (Some(up), None) = (having.next(), having.next()) else {
            let text = format!(
                "not exactly one service of this process has the saga `{}`",
                S::NAME
            );
            return Err(Failure::new(Kind::Wiring, text).into());
        };
        let state = Payload::encode(&saga)?;
        let id = self
            .unit(&up.name, |cx| {
                let state = state.decode::<S>();
                Box::pin(async move { cx.start(state?) })
            })
            .await?;
        self.wait_for(up, id.0.saga, limit).await
    }

    async fn wait_for<S: Saga>(
        &self,
        up: &Up,
        id: Uuid,
        limit: Duration,
    ) -> Result<S, Error<Undone>> {
        let until = Instant::now() + limit;
        let mut changes = up.store.changes();
        loop {
            changes.mark_unchanged();
            let row = up.store.saga(id).await?;
            let row = row.ok_or_else(|| Failure::new(Kind::NotFound, "the saga is gone"))?;
            let run = Run::seen(&row)?;
            match Status::of(&row) {
                Some(Status::Completed) => return Ok(run.state.decode()?),
                Some(Status::Compensated) => return Err(Error::Refused(Undone::of(id, &run))),
                Some(Status::Stuck) => {
                    let why = run.halt.map_or_else(String::new, |h| {
                        format!(" at `{}`: {}", h.why.step, h.why.text)
                    });
                    let text = format!("saga `{}` {id} is stuck{why}", S::NAME);
                    return Err(Failure::new(Kind::Conflict, text).into());
                }
                _ => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = self.overdue(up, &row, &run, limit);
                return Err(Failure::new(Kind::TimedOut, text).into());
            }
            // A change, a poll, or the end of the time: either way it is looked at again.
            tokio::time::timeout(left.min(POLL), changes.changed())
                .await
                .ok();
        }
    }

    /// What a saga waits for that did not end in time.
    fn overdue(&self, up: &Up, row: &SagaRow, run: &Run, limit: Duration) -> String {
        let mut text = format!(
            "saga `{}` {} did not end within {limit:?}",
            row.name, row.id
        );
        for wait in Timeline::of(run, up.core.clock.now()).waits {
            let Wait {
                step,
                waits_for,
                of,
                since,
                ..
            } = wait;
            let of = of.unwrap_or_default();
            let what = match waits_for.as_str() {
                "reply" | "void" => format!("the answer to `{of}`; {}", self.listens(&of)),
                "signal" => format!("the signal `{of}`"),
                "pause" => format!("its next attempt at `{of}`"),
                _ => "its turn".to_owned(),
            };
            let since = since.to_rfc3339();
            write!(text, "; its step `{step}` waits since {since} for {what}").ok();
        }
        text
    }

    /// Whether anybody of this process takes what goes to a topic.
    fn listens(&self, topic: &str) -> String {
        let takes = |door: &Door| match door {
            Door::Command { topic: t } | Door::Query { topic: t } => *t == topic,
            _ => false,
        };
        let listens = |up: &&Up| {
            let saga = up.core.sagas.contains_key(topic);
            let mut routes = up.handlers.iter().flat_map(|h| &h.routes);
            saga || routes.any(|r| takes(&r.door))
        };
        match self.services.iter().find(listens) {
            Some(up) => format!(
                "`{}` of this process listens on the topic `{topic}`",
                up.name
            ),
            None => format!("nobody in this process listens on the topic `{topic}`"),
        }
    }
}
