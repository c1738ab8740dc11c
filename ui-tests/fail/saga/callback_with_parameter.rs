// A callback reads one answer.
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

#[contract(query, reply = FooCreated)]
struct GetFoo {
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
    #[step(on_success = created)]
    fn create(&self) -> CreateFoo {
        CreateFoo { text: String::new() }
    }

    fn created(&mut self, reply: FooCreated, id: Uuid) {}
}

fn main() {}
