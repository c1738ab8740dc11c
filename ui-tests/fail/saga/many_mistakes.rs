// All mistakes of one block are reported at once.
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

#[saga(deadline = "1y", retry = 5)]
impl Order {
    #[step(on_sucess = created, timeout = "soon")]
    fn create(&self) -> CreateFoo {
        CreateFoo { text: String::new() }
    }

    fn created(&mut self, reply: FooCreated) {
        self.id = reply.id;
    }

    #[step(compensate = restroe, retry = 101)]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    async fn restore(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }

    #[step(no_compensation = " ")]
    async fn get(&self) -> GetFoo {
        GetFoo { id: self.id }
    }

    #[step]
    fn end(&self) {}
}

fn main() {}
