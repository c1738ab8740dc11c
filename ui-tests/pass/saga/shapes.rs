// Every right form of a step, a callback, and a compensation.
use std::time::Duration;

use minos::{
    prelude::*,
    saga::{Action, Saga, StepTarget},
};

minos::service!("ui");

#[contract(reply = FooCreated, error = FooError)]
pub struct CreateFoo {
    pub text: String,
}

#[contract]
pub struct DeleteFoo {
    pub id: Uuid,
}

#[contract(query, reply = FooCreated)]
pub struct GetFoo {
    pub id: Uuid,
}

#[model]
pub struct FooCreated {
    pub id: Uuid,
}

#[error_model]
pub enum FooError {
    #[error(status = 409, "taken")]
    Taken,
}

#[model]
pub struct Order {
    pub id: Uuid,
    #[serde(default)]
    pub tries: u32,
}

#[saga(deadline = "10m", name = "order.v1")]
impl Order {
    // A query needs no compensation, and its reply may be ignored for a reason.
    #[step(ignore_reply = "only whether it is there")]
    fn look(&self) -> GetFoo {
        GetFoo { id: self.id }
    }

    #[step(
        on_success = created,
        on_error = refused,
        compensate = delete,
        timeout = "500ms",
        retry = 3,
        name = "create_foo",
    )]
    fn create(&self) -> CreateFoo {
        CreateFoo {
            text: self.id.to_string(),
        }
    }

    fn created(&mut self, reply: FooCreated) {
        self.id = reply.id;
    }

    fn refused(&mut self, error: FooError) -> Verdict {
        match error {
            FooError::Taken if self.tries < 3 => {
                self.tries += 1;
                Verdict::Retry
            }
            FooError::Taken => Verdict::Compensate,
        }
    }

    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    // A local step that can be undone locally, and sync.
    #[step(compensate = forget)]
    async fn remember(&mut self, cx: &Context) -> Result<()> {
        self.id = cx.new_uuid();
        Ok(())
    }

    fn forget(&mut self, cx: &Context) {
        self.id = cx.new_uuid();
    }

    // One that refuses in its own words, and need not be undone.
    #[step(no_compensation = "it only looks")]
    fn check(&self, cx: &Context) -> Result<(), Error<FooError>> {
        let _ = cx;
        Err(FooError::Taken)?
    }

    #[step(pivot, on_success = done)]
    fn pay(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    fn done(&mut self) -> Result<Verdict> {
        Ok(Verdict::Continue)
    }

    // After the pivot nothing is undone.
    #[step(retry = 100, timeout = "2h")]
    fn delete_again(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    #[step]
    fn end(&mut self, _: &Context) {
        self.tries = 0;
    }
}

/// The shortest one; a compensation of the last step undoes it when its answer comes too late.
#[model]
pub struct Short {
    pub id: Uuid,
}

#[minos::saga]
impl Short {
    #[minos::step(compensate = back, timeout = "3d")]
    fn delete(&self) -> DeleteFoo {
        DeleteFoo { id: self.id }
    }

    async fn back(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }
}

fn main() {
    assert_eq!(<Order as StepTarget>::NAME, "order.v1");
    assert_eq!(Order::DEADLINE, Some(Duration::from_secs(600)));
    let names: Vec<&str> = Order::STEPS.iter().map(|s| s.name).collect();
    assert_eq!(
        names,
        [
            "look",
            "create_foo",
            "remember",
            "check",
            "pay",
            "delete_again",
            "end"
        ]
    );
    let create = &Order::STEPS[1];
    assert_eq!(
        (create.timeout, create.retry),
        (Some(Duration::from_millis(500)), 3)
    );
    assert!(matches!(create.run, Action::Remote(..)));
    assert!(matches!(create.compensate, Some(Action::Remote(..))));
    assert!(create.on_success.is_some() && create.on_error.is_some());
    assert!(matches!(Order::STEPS[2].compensate, Some(Action::Local(_))));
    assert!(Order::STEPS[4].pivot && !Order::STEPS[3].pivot);
    assert_eq!((Short::DEADLINE, Short::STEPS.len()), (None, 1));
    let debug = format!("{:?}", service());
    assert!(debug.contains("\"Short\"") && debug.contains("\"order.v1\""));
}
