// A reply within a group is read too.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract(reply = FooCreated, error = FooError)]
struct CreateFoo {
    text: String,
}

#[contract]
struct DeleteFoo {
    id: Uuid,
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

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(parallel = booking, no_compensation = "a test")]
    fn one(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step(parallel = booking, no_compensation = "a test")]
    fn create(&self) -> CreateFoo {
        CreateFoo { text: String::new() }
    }
}

fn main() {}
