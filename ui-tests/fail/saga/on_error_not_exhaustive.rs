// A refusal is read by its type: each case is said.
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
    #[error(status = 402, "poor")]
    Poor,
}

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(ignore_reply = "a test", on_error = refused)]
    fn create(&self) -> CreateFoo {
        CreateFoo { text: String::new() }
    }

    fn refused(&mut self, error: FooError) -> Verdict {
        match error {
            FooError::Taken => Verdict::Compensate,
        }
    }
}

fn main() {}
