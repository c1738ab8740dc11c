// Without an error model there is no refusal.
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

#[model]
struct Order {
    id: Uuid,
}

#[saga]
impl Order {
    #[step(on_error = refused)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn refused(&mut self, error: FooError) -> Verdict {
        Verdict::Compensate
    }
}

fn main() {}
