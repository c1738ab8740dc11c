// A handler takes `&self`, the context, and the request, each or none of them, in any order, under any name.
use minos::{
    aggregate::{Created, Deleted, Updated},
    enroute::{Door, Service},
    prelude::*,
};

minos::service!("ui");

type Cx = Context;
type Ask<T> = Request<T>;
type Answer<T> = minos::Result<T>;

#[contract(reply = FooCreated, error = FooError)]
pub struct CreateFoo {
    pub text: String,
}

#[contract("foo.delete")]
pub struct DeleteFoo {
    pub id: Uuid,
}

#[contract(event)]
pub struct OrderPaid {
    pub id: Uuid,
}

#[contract("order.sent", event)]
pub struct OrderSent {
    pub id: Uuid,
}

#[model]
pub struct FooCreated {
    pub id: Uuid,
}

#[model]
pub struct FooPath {
    pub id: Uuid,
}

#[error_model]
pub enum FooError {
    #[error(status = 409, "taken")]
    Taken,
}

#[aggregate]
pub struct Foo {
    pub bar: String,
}

#[derive(Default)]
pub struct Foos;

#[command_service]
impl Foos {
    const CREATE_AT: u32 = line!() + 3;

    /// Stacked, with a contract, and refusing.
    #[enroute::broker::command(CreateFoo)]
    #[enroute::rest::command("/foos", "POST")]
    async fn create(
        &self,
        cx: &Context,
        request: Request<CreateFoo>,
    ) -> Result<FooCreated, Error<FooError>> {
        let text = request.into_content().text;
        if text.is_empty() {
            Err(FooError::Taken)?;
        }
        let foo = Foo::create(cx, Foo { bar: text })?;
        Ok(FooCreated { id: foo.uuid() })
    }

    #[enroute::broker::command("foo.delete" = DeleteFoo)]
    async fn delete(&self, cx: &Context, request: Request<DeleteFoo>) -> Result<()> {
        Foo::get(cx, request.content().id).await?.delete(cx)
    }

    #[minos::enroute::broker::command("a.b-c_d")]
    async fn nothing() -> Result<()> {
        Ok(())
    }

    #[enroute::broker::command("Swapped")]
    async fn swapped(request: Ask<String>, cx: &Cx) -> Answer<String> {
        let _ = cx;
        Ok(request.into_content())
    }

    #[enroute::rest::command("/foos/{id}", "PUT")]
    #[enroute::rest::command("/foos/{id}/again", "PATCH")]
    #[enroute::rest::command("/foos/{id}", "DELETE")]
    async fn put(&self, request: Request<CreateFoo, FooPath>) -> Result<Response<FooCreated>> {
        let (_, path) = request.into_parts();
        Ok(Response::created(FooCreated { id: path.id }))
    }

    #[enroute::broker::event("FooCreated")]
    async fn created(&self, event: Request<Created<Foo>>) -> Result<()> {
        let _ = event;
        Ok(())
    }

    #[enroute::broker::event("FooUpdated.bar")]
    #[enroute::broker::event("FooUpdated")]
    async fn updated(&self, _: Request<Updated<Foo>>) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::event("FooDeleted")]
    #[enroute::broker::event("OtherDeleted")]
    async fn deleted(&self) -> Result<()> {
        Ok(())
    }

    #[enroute::broker::event("FooDeleted")]
    async fn deleted_too<'a>(
        &'a self,
        cx: &'a Context,
        event: Request<Deleted<Foo>>,
    ) -> Result<()> {
        let _ = (cx, event);
        Ok(())
    }

    #[enroute::broker::event(OrderPaid)]
    async fn paid(&self, cx: &Context, event: Request<OrderPaid>) -> Result<()> {
        cx.send(DeleteFoo {
            id: event.content().id,
        })
    }

    #[enroute::broker::event("order.sent" = OrderSent)]
    async fn sent(&self, event: Request<OrderSent>) -> Result<()> {
        let _ = event;
        Ok(())
    }

    #[cfg(any())]
    #[enroute::broker::command("Swapped")]
    async fn not_there(&self, nothing: NoSuchType) -> Result<()> {}

    /// Not a handler.
    const LIMIT: usize = { 3 };

    fn helper(&self) -> usize {
        Self::LIMIT
    }
}

/// Built with what it needs.
pub struct Builds {
    name: &'static str,
}

#[command_service]
impl Builds {
    #[construct]
    async fn new(resources: &Resources) -> Result<Self> {
        Ok(Self {
            name: resources.get::<&'static str>()?,
        })
    }

    #[enroute::broker::command("Name")]
    async fn name(&self) -> Result<String> {
        Ok(self.name.to_owned())
    }
}

mod inner {
    use minos::prelude::*;

    pub struct Alone(());

    #[command_service]
    impl self::Alone {
        #[minos::construct]
        async fn new() -> minos::Result<Self> {
            Ok(Self(()))
        }

        #[enroute::broker::command("Alone")]
        async fn alone(self: &Self) -> Result<()> {
            let () = self.0;
            Ok(())
        }
    }
}

fn main() {
    assert_eq!(Foos.helper(), 3);
    let service: Service = service();
    let routes = service.routes();
    assert_eq!(routes.len(), 18);
    let doors: Vec<Door> = routes.iter().map(|r| r.door).collect();
    assert!(doors.contains(&Door::Command {
        topic: "foo.delete"
    }));
    assert!(doors.contains(&Door::Event {
        topic: "Foo",
        name: "FooUpdated",
        field: Some("bar")
    }));
    assert!(doors.contains(&Door::Event {
        topic: "order.sent",
        name: "order.sent",
        field: None
    }));
    assert!(doors.contains(&Door::Http {
        verb: "PATCH",
        path: "/foos/{id}/again"
    }));
    let create = routes
        .iter()
        .find(|r| r.door == Door::Command { topic: "CreateFoo" })
        .unwrap();
    assert_eq!((create.at.handler, create.at.line), ("create", Foos::CREATE_AT));
    assert!(create.at.file.ends_with("shapes.rs"));
}
