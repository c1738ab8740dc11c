// The handler of a contract takes its content.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(reply = FooCreated, error = FooError)]
struct CreateFoo {
    text: String,
}

#[model]
struct FooCreated {
    id: Uuid,
}

#[error_model]
enum FooError {
    #[error(status = 409, "taken")]
    Taken,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command(CreateFoo)]
    async fn create(
        &self,
        request: Request<FooCreated>,
    ) -> Result<FooCreated, Error<FooError>> {
        Ok(request.into_content())
    }
}

fn main() {}
