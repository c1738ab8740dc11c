//! What the macros write passes the strictest lints: `cargo clippy -p minos-ui-tests --all-targets` looks at it.
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    rust_2018_idioms,
    unreachable_pub,
    unused_qualifications,
    unused_lifetimes,
    unused_results,
    single_use_lifetimes,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic
)]

use minos::prelude::*;

minos::service!("lints");

/// What is asked.
#[contract("foo.create", reply = FooCreated, error = FooError)]
pub struct CreateFoo {
    /// A text.
    pub text: String,
}

/// What is asked.
#[contract]
pub struct DeleteFoo {
    /// Which.
    pub id: Uuid,
}

/// What is asked.
#[contract(query, reply = Option<FooCreated>)]
pub struct GetFoo {
    /// Which.
    pub id: Uuid,
}

/// What happened.
#[contract(event)]
pub struct OrderPaid {
    /// Which.
    pub id: Uuid,
}

/// What is answered.
#[model]
#[derive(Eq, Hash)]
pub struct FooCreated {
    /// Which.
    pub id: Uuid,
}

/// Why not.
#[error_model]
#[derive(Eq)]
pub enum FooError {
    /// Somebody has it.
    #[error(status = 409, "{text:?} is taken")]
    Taken {
        /// What.
        text: String,
        /// Not shown.
        by: Uuid,
    },
    /// A number.
    #[error("{0} is odd")]
    Odd(u32),
}

/// The state.
#[aggregate]
pub struct Foo {
    /// A text.
    #[unique]
    pub bar: String,
    /// A value.
    pub worth: f64,
    /// Switches.
    pub on: bool,
    /// Switches.
    pub off: bool,
    /// Switches.
    pub up: bool,
    /// To another.
    pub foobar: Option<Ref<FooBar>>,
    private: Vec<u8>,
}

/// A part of the state of another service.
#[aggregate_ref]
pub struct FooBar {
    /// A text.
    pub something: String,
}

/// A row.
#[read_model]
pub struct FooView {
    /// Which.
    #[key]
    pub id: Uuid,
    /// A text.
    pub bar: String,
}

/// Handles.
#[derive(Debug, Default)]
pub struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command("foo.create" = CreateFoo)]
    #[enroute::rest::command("/foos", "POST")]
    async fn create(
        &self,
        cx: &Context,
        request: Request<CreateFoo>,
    ) -> Result<FooCreated, Error<FooError>> {
        let foo = Foo {
            bar: request.into_content().text,
            worth: 1.0,
            on: true,
            off: false,
            up: true,
            foobar: None,
            private: vec![],
        };
        Ok(FooCreated {
            id: Foo::create(cx, foo)?.uuid(),
        })
    }

    #[enroute::broker::command(DeleteFoo)]
    async fn delete(_: Request<DeleteFoo>) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::event("FooUpdated.private")]
    async fn updated(&self, event: Request<Updated<Foo>>) -> Result<()> {
        let _ = event;
        Ok(())
    }

    #[enroute::broker::event(OrderPaid)]
    async fn paid(&self, cx: &Context) -> Result<()> {
        cx.send(DeleteFoo { id: cx.new_uuid() })
    }
}

/// Answers.
#[derive(Debug)]
pub struct Gets;

#[query_service]
impl Gets {
    #[construct]
    async fn new() -> Result<Self> {
        Ok(Self)
    }

    #[enroute::broker::query(GetFoo)]
    async fn get(&self, request: Request<GetFoo>) -> Result<Option<FooCreated>> {
        Ok(Some(FooCreated {
            id: request.content().id,
        }))
    }
}

/// An order.
#[model]
pub struct Order {
    /// Which.
    pub id: Uuid,
}

#[saga(deadline = "10m")]
impl Order {
    #[step(on_success = created, on_error = refused, compensate = delete, timeout = "5s", retry = 3)]
    fn create(&self) -> CreateFoo {
        CreateFoo {
            text: self.id.to_string(),
        }
    }

    fn created(&mut self, reply: FooCreated) {
        self.id = reply.id;
    }

    fn refused(&mut self, error: FooError) -> Verdict {
        match error {
            FooError::Taken { by, .. } => {
                self.id = by;
                Verdict::Retry
            }
            FooError::Odd(_) => Verdict::Compensate,
        }
    }

    const fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(no_compensation = "it is the last that changes something")]
    async fn remember(&mut self, cx: &Context) -> Result<()> {
        self.id = Foo::get(cx, self.id).await?.uuid();
        Ok(())
    }

    #[step(parallel = both, when = known, ignore_reply = "a look", timeout = "1s", on_timeout = late)]
    const fn look(&self) -> GetFoo {
        GetFoo { id: self.id }
    }

    #[step(parallel = both, ignore_reply = "a look", retry = 2, backoff = "1s", max_backoff = "1m")]
    const fn look_again(&self) -> GetFoo {
        GetFoo { id: self.id }
    }

    const fn known(&self) -> bool {
        !self.id.is_nil()
    }

    fn late(&mut self) -> Verdict {
        self.id = Uuid::nil();
        Verdict::Continue
    }

    #[step(choice = way, when = known, no_compensation = "it is gone")]
    const fn remove(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(choice = way, on_success = described, no_compensation = "it is known")]
    const fn describe(&self) -> Description {
        Description { id: self.id }
    }

    fn described(&mut self, description: Description) {
        self.id = description.id;
    }

    #[step(signal, timeout = "3d", on_timeout = late)]
    fn paid(&mut self, paid: OrderPaid) -> Verdict {
        self.id = paid.id;
        Verdict::Continue
    }

    #[step]
    fn end(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }
}

/// A saga in the saga.
#[model]
pub struct Description {
    /// Which.
    pub id: Uuid,
}

#[saga]
impl Description {
    #[step]
    fn end(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }
}

#[test]
fn everything_is_registered() {
    assert_eq!(service().routes().len(), 6);
}
