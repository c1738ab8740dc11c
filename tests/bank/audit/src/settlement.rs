//! Settlements wait for somebody to let them go, so that many of them are open at once.

use bank_api::{Post, Side, Unpost};
use minos::prelude::*;

use crate::Entry;

/// Two postings at the other service and an entry here; between the postings it waits.
#[model]
pub struct Settlement {
    /// The settlement's id.
    pub id: Uuid,
}

/// Let a settlement go.
#[contract]
pub struct Pay {}

#[saga]
impl Settlement {
    #[step(compensate = give_back)]
    fn hold(&self) -> Post {
        Post {
            of: self.id,
            side: Side::Held,
        }
    }

    fn give_back(&self) -> Unpost {
        Unpost {
            of: self.id,
            side: Side::Held,
        }
    }

    #[step(signal)]
    fn let_go(&mut self, _pay: Pay) {}

    #[step(compensate = take_back)]
    fn pay(&self) -> Post {
        Post {
            of: self.id,
            side: Side::Paid,
        }
    }

    fn take_back(&self) -> Unpost {
        Unpost {
            of: self.id,
            side: Side::Paid,
        }
    }

    #[step]
    async fn book(&mut self, cx: &Context) -> Result<()> {
        Entry::create(cx, Entry { of: self.id })?;
        Ok(())
    }
}

/// Some settlements.
#[model]
pub struct Settlements {
    /// Which.
    pub ids: Vec<Uuid>,
}

/// Opens settlements, and lets them go.
#[derive(Debug, Default)]
pub struct Desk;

#[command_service]
impl Desk {
    /// They begin.
    #[enroute::rest::command("/settlements", "POST")]
    async fn open(&self, cx: &Context, request: Request<Settlements>) -> Result<()> {
        for id in request.into_content().ids {
            cx.start_once(id, Settlement { id }).await?;
        }
        Ok(())
    }

    /// They go on.
    #[enroute::rest::command("/settlements/pay", "POST")]
    async fn pay(&self, cx: &Context, request: Request<Settlements>) -> Result<()> {
        for id in request.into_content().ids {
            cx.signal(SagaId::of::<Settlement>(id), Pay {})?;
        }
        Ok(())
    }
}
