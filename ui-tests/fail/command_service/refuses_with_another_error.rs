// The handler of a contract refuses with its error.
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

#[error_model]
enum OtherError {
    #[error("no")]
    No,
}

#[derive(Default)]
struct Foos;

#[command_service]
impl Foos {
    #[enroute::broker::command(CreateFoo)]
    async fn create(&self) -> Result<FooCreated, Error<OtherError>> {
        Err(OtherError::No)?
    }
}

fn main() {}
