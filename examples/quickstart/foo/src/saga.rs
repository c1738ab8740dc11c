//! Work across two services that ends in both or is undone in both.

use foobar_api::{CreateFooBar, DeleteFooBar, FooBarCreated, FooBarError};
use minos::prelude::*;

use crate::Foo;

/// Gives a foo a new foobar. Its fields are the saga's state, stored with every step.
#[model]
pub struct AddFooBar {
    /// Which foo.
    pub uuid: Uuid,
    /// What the foobar is to say.
    pub something: String,
    /// The foobar, once there is one.
    #[serde(default)]
    pub foobar: Option<Uuid>,
}

/// Why a foo refuses.
#[error_model]
pub enum FooError {
    /// A foo has one foobar at most.
    #[error(status = 409, "this foo has a foobar already: {foobar}")]
    Taken {
        /// The one it has.
        foobar: Uuid,
    },
}

#[saga(deadline = "10m")]
impl AddFooBar {
    #[step(on_success = foobar_created, on_error = foobar_refused, compensate = delete_foobar, timeout = "5s", retry = 3)]
    fn create_foobar(&self) -> CreateFooBar {
        CreateFooBar {
            number: 56,
            text: self.something.clone(),
        }
    }

    fn foobar_created(&mut self, reply: FooBarCreated) {
        self.foobar = Some(reply.uuid);
    }

    fn foobar_refused(&mut self, _error: FooBarError) -> Verdict {
        Verdict::Compensate
    }

    fn delete_foobar(&self) -> DeleteFooBar {
        // Only what was created is undone: the reply was read.
        DeleteFooBar {
            uuid: self.foobar.unwrap_or_default(),
        }
    }

    #[step]
    async fn update_foo(&mut self, cx: &Context) -> Result<(), Error<FooError>> {
        // A foo that was deleted meanwhile is not found: then the foobar is deleted too.
        let mut foo = Foo::get(cx, self.uuid).await?;
        if let Some(foobar) = foo.foobar {
            let foobar = foobar.uuid();
            return Err(FooError::Taken { foobar })?;
        }
        foo.foobar = self.foobar.map(Ref::new);
        foo.save(cx)?;
        Ok(())
    }
}
