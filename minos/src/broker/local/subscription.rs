//! The member as its user sees it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Shared, member::Member, writer::Op};
use crate::broker::{Delivery, Origin, Result, Subscription};

/// A member of a group; dropping it leaves.
pub(super) struct Joined {
    shared: Arc<Shared>,
    member: Arc<Member>,
    /// Dropped with this; then the member's task lets the group know.
    _stay: oneshot::Sender<()>,
}

impl Joined {
    pub(super) fn new(shared: Arc<Shared>, member: Arc<Member>, stay: oneshot::Sender<()>) -> Self {
        Self {
            shared,
            member,
            _stay: stay,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.member.check()
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("local::Joined")
            .field("group", &self.member.group)
            .field("id", &self.member.id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Subscription for Joined {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let max = max.max(1);
        loop {
            let wants = self.member.wants(max)?;
            if wants.is_empty() {
                self.member.wake.notified().await;
                continue;
            }
            let limit = max / wants.len();
            let found = self.shared.reader.fetch(&wants, limit).await?;
            // Nothing is awaited after this: what it takes note of is answered.
            let found = self.member.deliver(&wants, limit, found);
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    async fn commit(&mut self, done: &[Origin]) -> Result<()> {
        let done = self.member.commits(done);
        if done.is_empty() {
            return self.shared.queue.check();
        }
        let ask = |answer| Op::Commit(Arc::clone(&self.member), done, answer);
        self.shared.queue.ask(ask).await
    }
}
