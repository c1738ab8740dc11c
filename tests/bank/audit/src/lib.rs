//! A service that follows the money of another one, and moves some of it by a saga.

pub mod settlement;

use bank_api::{AccountError, Balance, Deposit, Record, Withdraw};
use minos::prelude::*;

minos::service!("audit");

/// What was booked; a payment that was booked twice has two.
#[aggregate]
pub struct Entry {
    /// For which payment or saga.
    pub of: Uuid,
}

/// The fields of the other service's accounts that this one cares about.
#[aggregate_ref]
pub struct Account {
    /// What is in it.
    pub balance: i64,
}

/// Moves money from one account to another, one after the other.
#[model]
pub struct Transfer {
    /// The transfer's id.
    pub id: Uuid,
    /// From which account.
    pub from: Uuid,
    /// To which account.
    pub to: Uuid,
    /// How much.
    pub amount: i64,
}

#[saga(deadline = "10m")]
impl Transfer {
    #[step(on_success = taken, on_error = refused, compensate = give_back, timeout = "2s", retry = 100)]
    fn take(&self) -> Withdraw {
        Withdraw {
            account: self.from,
            amount: self.amount,
        }
    }

    fn taken(&mut self, _reply: Balance) {}

    fn refused(&mut self, _error: AccountError) -> Verdict {
        Verdict::Compensate
    }

    fn give_back(&self) -> Deposit {
        Deposit {
            account: self.from,
            amount: self.amount,
        }
    }

    #[step(on_success = taken, on_error = refused, compensate = take_back, timeout = "2s", retry = 100)]
    fn give(&self) -> Deposit {
        Deposit {
            account: self.to,
            amount: self.amount,
        }
    }

    fn take_back(&self) -> Withdraw {
        Withdraw {
            account: self.to,
            amount: self.amount,
        }
    }

    #[step]
    async fn book(&mut self, cx: &Context) -> Result<()> {
        Entry::create(cx, Entry { of: self.id })?;
        Ok(())
    }
}

/// Books what it is told.
#[derive(Debug, Default)]
pub struct Books;

#[command_service]
impl Books {
    /// A payment was made.
    #[enroute::broker::command(Record)]
    async fn record(&self, cx: &Context, request: Request<Record>) -> Result<()> {
        let of = request.into_content().payment;
        Entry::create(cx, Entry { of })?;
        Ok(())
    }

    /// A transfer begins.
    #[enroute::rest::command("/transfers", "POST")]
    async fn transfer(&self, cx: &Context, request: Request<Transfer>) -> Result<Accepted<SagaId>> {
        cx.start(request.into_content())
    }
}

/// How many events of an account came here, through the broker.
#[read_model]
pub struct Watched {
    /// Which account.
    #[key]
    pub uuid: Uuid,
    /// How many.
    pub events: u64,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Watch;

#[query_service]
impl Watch {
    /// The first event.
    #[enroute::broker::event("AccountCreated")]
    async fn opened(&self, cx: &Context, event: Request<Created<Account>>) -> Result<()> {
        count(cx, event.content().uuid()).await
    }

    /// One more.
    #[enroute::broker::event("AccountUpdated")]
    async fn changed(&self, cx: &Context, event: Request<Updated<Account>>) -> Result<()> {
        count(cx, event.content().uuid()).await
    }
}

async fn count(cx: &Context, uuid: Uuid) -> Result<()> {
    let seen = Watched::get(cx, &uuid).await?;
    let events = seen.map_or(0, |row| row.events) + 1;
    Watched::upsert(cx, &Watched { uuid, events })
}
