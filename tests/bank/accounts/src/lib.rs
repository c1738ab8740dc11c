//! A service with money in it: what it loses or doubles, somebody misses.

use bank_api::{AccountError, Balance, Deposit, Post, Record, Side, Unpost, Withdraw};
use minos::prelude::*;

minos::service!("accounts");

/// An account.
#[aggregate]
pub struct Account {
    /// What is in it; it may be below zero.
    pub balance: i64,
    /// Whether it refuses deposits.
    pub closed: bool,
}

/// A step of a settlement; one that was done twice has two.
#[aggregate]
pub struct Posting {
    /// Of which settlement.
    pub of: Uuid,
    /// Which of its two.
    pub side: Side,
}

/// A new account.
#[model]
pub struct NewAccount {
    /// What is in it.
    pub balance: i64,
    /// Whether it refuses deposits.
    pub closed: bool,
}

/// Which account.
#[model]
pub struct AccountId {
    /// Its id.
    pub uuid: Uuid,
}

/// Money that moves at once.
#[model]
pub struct Payment {
    /// The payment's id.
    pub id: Uuid,
    /// From which account.
    pub from: Uuid,
    /// To which account.
    pub to: Uuid,
    /// How much.
    pub amount: i64,
}

/// Moves money.
#[derive(Debug, Default)]
pub struct Accounts;

#[command_service]
impl Accounts {
    /// A new account.
    #[enroute::rest::command("/accounts", "POST")]
    async fn open(&self, cx: &Context, request: Request<NewAccount>) -> Result<AccountId> {
        let NewAccount { balance, closed } = request.into_content();
        let account = Account::create(cx, Account { balance, closed })?;
        Ok(AccountId {
            uuid: account.uuid(),
        })
    }

    /// Two accounts change at once, and the other service is told.
    #[enroute::rest::command("/payments", "POST")]
    async fn pay(&self, cx: &Context, request: Request<Payment>) -> Result<()> {
        let Payment {
            id,
            from,
            to,
            amount,
        } = request.into_content();
        let mut payer = Account::get(cx, from).await?;
        let mut payee = Account::get(cx, to).await?;
        payer.balance -= amount;
        payee.balance += amount;
        payer.save(cx)?;
        payee.save(cx)?;
        cx.send(Record { payment: id })
    }

    /// One account has less.
    #[enroute::broker::command(Withdraw)]
    async fn withdraw(
        &self,
        cx: &Context,
        request: Request<Withdraw>,
    ) -> Result<Balance, Error<AccountError>> {
        let Withdraw { account, amount } = request.into_content();
        let mut account = Account::get(cx, account).await?;
        account.balance -= amount;
        account.save(cx)?;
        Ok(Balance {
            balance: account.balance,
        })
    }

    /// One account has more.
    #[enroute::broker::command(Deposit)]
    async fn deposit(
        &self,
        cx: &Context,
        request: Request<Deposit>,
    ) -> Result<Balance, Error<AccountError>> {
        let Deposit { account, amount } = request.into_content();
        let mut account = Account::get(cx, account).await?;
        if account.closed {
            Err(AccountError::Closed)?;
        }
        account.balance += amount;
        account.save(cx)?;
        Ok(Balance {
            balance: account.balance,
        })
    }
}

/// Makes the postings of settlements.
#[derive(Debug, Default)]
pub struct Postings;

#[command_service]
impl Postings {
    /// One more.
    #[enroute::broker::command(Post)]
    async fn post(&self, cx: &Context, request: Request<Post>) -> Result<()> {
        let Post { of, side } = request.into_content();
        Posting::create(cx, Posting { of, side })?;
        Ok(())
    }

    /// One less.
    #[enroute::broker::command(Unpost)]
    async fn unpost(&self, cx: &Context, request: Request<Unpost>) -> Result<()> {
        let Unpost { of, side } = request.into_content();
        for posting in Posting::find(cx, Posting::fields().of.eq(of)).await? {
            if posting.side == side {
                posting.delete(cx)?;
            }
        }
        Ok(())
    }
}

/// How many events of an account came here, from the own log.
#[read_model]
pub struct Statement {
    /// Which account.
    #[key]
    pub uuid: Uuid,
    /// How many.
    pub events: u64,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Statements;

#[query_service]
impl Statements {
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
    let seen = Statement::get(cx, &uuid).await?;
    let events = seen.map_or(0, |row| row.events) + 1;
    Statement::upsert(cx, &Statement { uuid, events })
}
