// One service of everything, as the tour shows it.
#![forbid(unsafe_code)]
use minos::prelude::*;

minos::service!("foo");

#[contract("CreateFooBar", reply = FooBarCreated, error = FooBarError)]
pub struct CreateFooBar {
    pub number: i32,
    pub text: String,
}
#[contract]
pub struct DeleteFooBar {
    pub uuid: Uuid,
}
#[contract(query, reply = FooBarCreated)]
pub struct GetFooBar {
    pub uuid: Uuid,
}
#[contract("order.paid", event)]
pub struct OrderPaid {
    pub uuid: Uuid,
}
#[model]
pub struct FooBarCreated {
    pub uuid: Uuid,
}
#[error_model]
pub enum FooBarError {
    #[error(status = 409, "a foobar saying {text:?} exists already")]
    Exists { text: String },
    #[error("odd {0}")]
    Odd(i32),
}
#[aggregate]
pub struct Foo {
    #[unique]
    pub bar: String,
    pub foobar: Option<Ref<FooBar>>,
}
#[aggregate_ref]
pub struct FooBar {
    pub something: String,
}
#[read_model]
pub struct FooView {
    #[key]
    pub uuid: Uuid,
    pub bar: String,
}

#[derive(Default)]
pub struct FooCommandService;
#[command_service]
impl FooCommandService {
    /// Creates.
    #[enroute::broker::command(CreateFooBar)]
    #[enroute::rest::command("/foos", "POST")]
    async fn create(
        &self,
        cx: &Context,
        request: Request<CreateFooBar>,
    ) -> Result<FooBarCreated, Error<FooBarError>> {
        let request = request.into_content();
        if request.number % 2 == 1 {
            Err(FooBarError::Odd(request.number))?
        }
        let foo = Foo::create(
            cx,
            Foo {
                bar: request.text,
                foobar: None,
            },
        )?;
        Ok(FooBarCreated { uuid: foo.uuid() })
    }
    #[enroute::broker::command("DeleteFooBar")]
    async fn delete() -> Result<()> {
        Ok(())
    }
    #[enroute::broker::event("FooUpdated.bar")]
    async fn updated(cx: &Context, event: Request<Updated<Foo>>) -> Result<()> {
        let _ = (cx, event);
        Ok(())
    }
    #[enroute::broker::event("order.paid" = OrderPaid)]
    async fn paid(event: Request<OrderPaid>) -> Result<()> {
        let _ = event;
        Ok(())
    }
    #[enroute::rest::command("/foos/add-foobar", "POST")]
    async fn start(&self, cx: &Context, request: Request<AddFooBar>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }
}
pub struct FooQueryService {
    name: String,
}
#[query_service]
impl FooQueryService {
    #[construct]
    async fn new(resources: &Resources) -> Result<Self> {
        let _ = resources;
        Ok(Self {
            name: String::new(),
        })
    }
    #[enroute::rest::query("/foos/{uuid}", "GET")]
    async fn get(&self, cx: &Context) -> Result<Vec<FooView>> {
        let _ = &self.name;
        FooView::list(cx, 10).await
    }
}

#[model]
pub struct AddFooBar {
    pub uuid: Uuid,
    pub something: String,
    #[serde(default)]
    pub foobar: Option<Uuid>,
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
    fn foobar_refused(&mut self, error: FooBarError) -> Verdict {
        let _ = error;
        Verdict::Compensate
    }
    fn delete_foobar(&self) -> DeleteFooBar {
        DeleteFooBar { uuid: self.uuid }
    }
    #[step]
    async fn update_foo(&mut self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }
}

fn main() {
    assert_eq!(service().routes().len(), 7);
}
