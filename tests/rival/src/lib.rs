//! A service that handles a command which `foobar` handles too.

use foobar_api::DeleteFooBar;
use minos::prelude::*;

minos::service!("rival");

/// Commands.
#[derive(Debug, Default)]
pub struct Rival;

#[command_service]
impl Rival {
    /// Foobar has this one.
    #[enroute::broker::command(DeleteFooBar)]
    async fn delete(&self, _request: Request<DeleteFooBar>) -> Result<()> {
        Ok(())
    }
}
