// A query service has no effects, however deep they are.
#![allow(unused)]
use minos::prelude::*;

minos::service!("ui");

#[contract]
struct Charge {
    user: Uuid,
}

#[model]
struct Order {
    user: Uuid,
}

#[saga]
impl Order {
    #[step]
    fn charge(&self) -> Charge {
        Charge { user: self.user }
    }
}

#[derive(Default)]
struct Foos;

#[query_service]
impl Foos {
    #[enroute::broker::event("FooCreated")]
    async fn created(&self, context: &Context) -> Result<()> {
        if let Some(user) = context.user() {
            let start = || context.start::<Order>(Order { user });
            start()?;
        }
        Ok(())
    }
}

fn main() {}
