//! What the services of the bank say to each other.

use minos::prelude::*;

/// Take money from an account.
#[contract(reply = Balance, error = AccountError)]
pub struct Withdraw {
    /// From which one.
    pub account: Uuid,
    /// How much.
    pub amount: i64,
}

/// Put money into an account.
#[contract(reply = Balance, error = AccountError)]
pub struct Deposit {
    /// Into which one.
    pub account: Uuid,
    /// How much.
    pub amount: i64,
}

/// What is in an account after that.
#[model]
pub struct Balance {
    /// How much.
    pub balance: i64,
}

/// Why an account refuses.
#[error_model]
pub enum AccountError {
    /// It takes no deposits.
    #[error(status = 409, "this account is closed")]
    Closed,
}

/// Book a payment that was made.
#[contract]
pub struct Record {
    /// Which one.
    pub payment: Uuid,
}

/// One of the two postings of a settlement.
#[model]
#[derive(Copy)]
pub enum Side {
    /// What is held back.
    Held,
    /// What is paid.
    Paid,
}

/// Make a posting.
#[contract]
pub struct Post {
    /// Of which settlement.
    pub of: Uuid,
    /// Which of its two.
    pub side: Side,
}

/// Take the postings of this side back.
#[contract]
pub struct Unpost {
    /// Of which settlement.
    pub of: Uuid,
    /// Which of its two.
    pub side: Side,
}
