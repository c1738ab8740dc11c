//! Whether a service has anything to do, for tests that wait until it has not.

use uuid::Uuid;

use super::Running;
use crate::{
    error::Result,
    runtime::{is_behind, unsent},
};

impl Running {
    /// What a service still has to do by what its store says, if anything: to publish, to follow its log, to move what
    /// is due. `sent` knows what was published although the cursor has not moved yet.
    pub(crate) async fn has_to_do(
        &self,
        service: &str,
        sent: impl Fn(Uuid) -> bool,
    ) -> Result<Option<String>> {
        let Some(up) = self.up(service) else {
            return Ok(None);
        };
        let store = &*up.store;
        let now = up.core.clock.now();
        if store.next_due().await?.is_some_and(|due| due <= now) {
            return Ok(Some(format!("something of `{service}` is due")));
        }
        let unsent = unsent(store).await?;
        let unsent = unsent.into_iter().filter(|id| !sent(*id)).count();
        if unsent > 0 {
            return Ok(Some(format!(
                "`{service}` has to publish {unsent} messages"
            )));
        }
        for block in up.handlers.iter() {
            if is_behind(store, block).await? {
                let name = block.name;
                return Ok(Some(format!(
                    "`{name}` of `{service}` is behind in the log"
                )));
            }
        }
        Ok(None)
    }
}
