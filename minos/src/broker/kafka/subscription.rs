//! The member as its user sees it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use super::state::Shared;
use crate::broker::{Delivery, Origin, Result, Subscription};

/// A member of a group; dropping it leaves.
pub(super) struct Joined {
    member: Arc<Shared>,
    changed: watch::Receiver<()>,
    group: String,
    patience: Duration,
}

impl Joined {
    pub(super) fn new(member: Arc<Shared>, group: &str, patience: Duration) -> Self {
        Self {
            changed: member.changes(),
            member,
            group: group.to_owned(),
            patience,
        }
    }

    async fn changed(&mut self) {
        // The sender lives as long as the member.
        let _ = self.changed.changed().await;
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("kafka::Joined")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Subscription for Joined {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        loop {
            self.changed.borrow_and_update();
            // Nothing is awaited after this: what it takes note of is answered.
            let taken = self.member.take(max)?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            self.changed().await;
        }
    }

    async fn commit(&mut self, done: &[Origin]) -> Result<()> {
        let wishes = self.member.wish(done)?;
        if wishes.is_empty() {
            return Ok(());
        }
        let patience = self.patience;
        let granted = async {
            loop {
                self.changed.borrow_and_update();
                if self.member.granted(&wishes)? {
                    return Ok(());
                }
                self.changed().await;
            }
        };
        // A group that is between two generations takes no offsets. The thread goes on trying; who failed instead
        // would join anew, and keep the group from settling. Kafka that is away is told by `next`.
        tokio::time::timeout(patience, granted)
            .await
            .unwrap_or(Ok(()))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.member.leave();
    }
}
