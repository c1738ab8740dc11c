//! What changes foobars.

use foobar_api::{CreateFooBar, DeleteFooBar, FooBarCreated, FooBarError};
use minos::{error::Kind, prelude::*};

use crate::FooBar;

/// Changes foobars.
#[derive(Debug, Default)]
pub struct FooBarCommandService;

#[command_service]
impl FooBarCommandService {
    /// Create a foobar. The type of the contract stands for its topic, so the build compares the two.
    #[enroute::broker::command(CreateFooBar)]
    #[enroute::rest::command("/foobars", "POST")]
    async fn create_foobar(
        &self,
        cx: &Context,
        request: Request<CreateFooBar>,
    ) -> Result<FooBarCreated, Error<FooBarError>> {
        let CreateFooBar { number, text } = request.into_content();
        if text.trim().is_empty() {
            return Err(FooBarError::Empty.into());
        }
        let same = FooBar::fields().text.eq(text.as_str());
        if !FooBar::find(cx, same).limit(1).await?.is_empty() {
            return Err(FooBarError::Exists { text }.into());
        }
        // Two at once may both find nothing: `#[unique]` lets one commit. The other runs again, and finds it.
        let foobar = FooBar::create(cx, FooBar { number, text })?;
        Ok(FooBarCreated {
            uuid: foobar.uuid(),
        })
    }

    /// Delete a foobar. A saga that undoes its work may ask twice: one that is gone is as good as deleted.
    #[enroute::broker::command(DeleteFooBar)]
    async fn delete_foobar(&self, cx: &Context, request: Request<DeleteFooBar>) -> Result<()> {
        match FooBar::get(cx, request.content().uuid).await {
            Ok(foobar) => foobar.delete(cx),
            Err(e) if e.kind() == Some(Kind::NotFound) => Ok(()),
            Err(e) => Err(e),
        }
    }
}
