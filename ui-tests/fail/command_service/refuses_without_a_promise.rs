// A contract without an error is not refused.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct DeleteFoo {
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
    #[enroute::broker::command(DeleteFoo)]
    async fn delete(&self) -> Result<(), Error<FooError>> {
        Err(FooError::Taken)?
    }
}

fn main() {}
