//! Tasks that are started again when they fail, and that stop together.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::watch, task::JoinSet};
use tracing::{error, info};

use super::backoff;
use crate::{clock::Clock, error::Result, health::Health};

/// Tells tasks to stop. Clones share the signal.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    tell: Arc<watch::Sender<bool>>,
    hear: watch::Receiver<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        let (tell, hear) = watch::channel(false);
        Self {
            tell: Arc::new(tell),
            hear,
        }
    }
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.tell.send_replace(true);
    }

    pub(crate) fn stopped(&self) -> bool {
        *self.hear.borrow()
    }

    /// Returns once it is time to stop.
    pub(crate) async fn wait(&self) {
        let mut hear = self.hear.clone();
        // The sender lives as long as `self`; an error means the same as a stop.
        let _ = hear.wait_for(|stopped| *stopped).await;
    }

    /// Waits, but not beyond a stop; `false` if stopped.
    pub(crate) async fn sleep(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.wait() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// Runs tasks until they are told to stop.
#[derive(Debug)]
pub(crate) struct Supervisor {
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    tasks: JoinSet<()>,
}

impl Supervisor {
    pub(crate) fn new(health: Arc<Health>, clock: Arc<dyn Clock>) -> Self {
        Self {
            health,
            clock,
            stop: Stop::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Runs a task; when it fails or panics it is started again, after a pause that grows, and readiness says why.
    ///
    /// The task reports itself up (`health.up(name)`) once it works.
    pub(crate) fn spawn<F, Fut>(&mut self, name: &str, mut task: F)
    where
        F: FnMut(Stop) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let (health, clock, stop) = (self.health.clone(), self.clock.clone(), self.stop.clone());
        let name = name.to_owned();
        health.starting(&name);
        self.tasks.spawn(async move {
            let mut failures = 0;
            while !stop.stopped() {
                let started = tokio::time::Instant::now();
                let reason = match AssertUnwindSafe(task(stop.clone())).catch_unwind().await {
                    Ok(Ok(())) => break,
                    Ok(Err(e)) => {
                        error!(task = name, error = ?e, "a task failed; it is started again");
                        match e.kind() {
                            Some(kind) if kind.is_public() => e.to_string(),
                            _ => "it failed; the log says why".to_owned(),
                        }
                    }
                    Err(_) => {
                        error!(task = name, "a task panicked; it is started again");
                        "it panicked".to_owned()
                    }
                };
                health.down(&name, &reason);
                // A task that ran well for a while starts with a short pause again.
                failures = if started.elapsed() > Duration::from_secs(30) {
                    0
                } else {
                    failures + 1
                };
                let pause = backoff(
                    &*clock,
                    failures,
                    Duration::from_millis(50),
                    Duration::from_secs(5),
                );
                if !stop.sleep(pause).await {
                    break;
                }
            }
            info!(task = name, "stopped");
        });
    }

    /// What tells its tasks to stop.
    pub(crate) fn signal(&self) -> Stop {
        self.stop.clone()
    }

    /// Tells all tasks to stop.
    pub(crate) fn stop(&self) {
        self.stop.stop();
    }

    /// Waits for all tasks; those that do not stop in time are ended. `false` if any was.
    pub(crate) async fn join(mut self, grace: Duration) -> bool {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let clean = tokio::time::timeout(grace, all).await.is_ok();
        self.tasks.shutdown().await;
        clean
    }
}
