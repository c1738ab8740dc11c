//! What changes foos.

use minos::prelude::*;

use crate::{AddFooBar, Foo};

/// Changes foos.
#[derive(Debug, Default)]
pub struct FooCommandService;

/// The content of `CreateFoo`.
#[model]
pub struct CreateFoo {
    /// Any text.
    pub bar: String,
}

/// The content of an update.
#[model]
pub struct UpdateFoo {
    /// The new text.
    pub bar: String,
}

/// Which foo an answer is about.
#[model]
pub struct FooId {
    /// Its id.
    pub uuid: Uuid,
}

/// The parameter of `/foos/{uuid}`.
#[model]
pub struct FooPath {
    /// Which foo.
    pub uuid: Uuid,
}

#[command_service]
impl FooCommandService {
    /// Create a new foo.
    #[enroute::broker::command("CreateFoo")]
    #[enroute::rest::command("/foos", "POST")]
    async fn create_foo(&self, cx: &Context, request: Request<CreateFoo>) -> Result<FooId> {
        let bar = request.into_content().bar;
        let foo = Foo::create(cx, Foo { bar, foobar: None })?;
        Ok(FooId { uuid: foo.uuid() })
    }

    /// Give a foo a foobar: the saga does it, this only says that it will.
    #[enroute::rest::command("/foos/add-foobar", "POST")]
    async fn add_foobar(
        &self,
        cx: &Context,
        request: Request<AddFooBar>,
    ) -> Result<Accepted<SagaId>> {
        let saga = request.into_content();
        // A foo that is not there is a 404 now, not a saga that fails later.
        Foo::get(cx, saga.uuid).await?;
        cx.start(saga)
    }

    /// Change the text of a foo.
    #[enroute::rest::command("/foos/{uuid}", "POST")]
    async fn update_foo(&self, cx: &Context, request: Request<UpdateFoo, FooPath>) -> Result<()> {
        let (content, path) = request.into_parts();
        let mut foo = Foo::get(cx, path.uuid).await?;
        foo.bar = content.bar;
        foo.save(cx)
    }

    /// Delete a foo.
    #[enroute::rest::command("/foos/{uuid}", "DELETE")]
    async fn delete_foo(&self, cx: &Context, request: Request<(), FooPath>) -> Result<()> {
        let foo = Foo::get(cx, request.params().uuid).await?;
        foo.delete(cx)
    }
}
