//! A unit of work outside a handler.

use std::sync::{Arc, Mutex, PoisonError};

use super::Running;
use crate::{
    context::{Context, Core, Job, Origin, Work, run},
    enroute::{Answer, BoxFuture, Role},
    error::{Error, Failure, Kind, Result},
};

struct Once<F, T> {
    work: F,
    answer: Mutex<Option<T>>,
}

impl<F, T> Work for Once<F, T>
where
    F: for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<T>> + Sync,
    T: Send,
{
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match (self.work)(cx).await {
                Ok(answer) => {
                    *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                    Answer::Done {
                        status: 200,
                        body: None,
                    }
                }
                Err(e) => Answer::Failed(e.into_failure()),
            }
        })
    }
}

impl Running {
    /// Runs a piece of work in a unit of work of a service, as if one of its command handlers did it: for tests,
    /// for seeds, and for jobs of operators.
    ///
    /// On a version conflict it runs again.
    ///
    /// ```no_run
    /// # use minos::prelude::*;
    /// # async fn example(running: minos::Running) -> Result<()> {
    /// let id = running.unit("foo", |cx| Box::pin(async move { Ok(cx.new_uuid()) })).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such service; the work's own error; or why it could not be committed.
    pub async fn unit<T: Send>(
        &self,
        service: &str,
        work: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        let core = self.up(service).map(|up| up.core.clone());
        let core = core.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no service `{service}` runs here"))
        })?;
        in_unit(&core, work).await
    }
}

/// Runs a piece of work in a unit of work, as if a command handler did it.
pub(crate) async fn in_unit<T: Send>(
    core: &Arc<Core>,
    work: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<T>> + Send + Sync,
) -> Result<T> {
    let work = Once {
        work,
        answer: Mutex::new(None),
    };
    let job = Job {
        role: Role::Command,
        origin: Origin::default(),
    };
    let answer = run(core, job, &work, |_, answer| {
        matches!(answer, Answer::Done { .. })
    })
    .await?;
    match answer {
        Answer::Failed(failure) => Err(failure.into()),
        Answer::Done { .. } | Answer::Refused(_) => work
            .answer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .ok_or_else(|| Failure::new(Kind::Internal, "the work left no answer").into()),
    }
}
