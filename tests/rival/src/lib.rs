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

mod again {
    //! Another block with the name of the first.

    use minos::prelude::*;

    #[derive(Debug, Default)]
    struct Rival;

    #[command_service]
    impl Rival {
        #[enroute::broker::command("Again")]
        async fn again(&self) -> Result<()> {
            Ok(())
        }
    }
}
