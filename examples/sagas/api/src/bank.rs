//! Payments and accounts.

use minos::prelude::*;

/// Takes money.
#[contract("Pay", reply = Paid, error = PaymentError)]
pub struct Pay {
    /// How much; 0 is declined.
    pub amount: u64,
}

/// Takes money from an account that may be empty today.
#[contract("Charge", reply = Paid, error = PaymentError)]
pub struct Charge {
    /// How much.
    pub amount: u64,
    /// From when on there is money: the example's bank has no calendar of its own.
    pub funded_at: DateTime<Utc>,
}

/// Gives it back.
#[contract("Refund")]
pub struct Refund {
    /// Which payment.
    pub payment: Uuid,
}

/// The reply to [`Pay`] and [`Charge`].
#[model]
pub struct Paid {
    /// The payment.
    pub payment: Uuid,
}

/// Why there is no payment.
#[error_model]
pub enum PaymentError {
    /// The bank says no.
    #[error(status = 402, "the payment of {amount} is declined")]
    Declined {
        /// How much was asked for.
        amount: u64,
    },
}

/// Sets money aside for a loan.
#[contract("Earmark", reply = Earmarked, error = AccountError)]
pub struct Earmark {
    /// Who borrows.
    pub customer: String,
    /// How much; 0 is refused.
    pub amount: u64,
}

/// Sets it free again.
#[contract("Unearmark")]
pub struct Unearmark {
    /// Which account.
    pub account: Uuid,
}

/// Pays out what was set aside.
#[contract("PayOut")]
pub struct PayOut {
    /// Which account.
    pub account: Uuid,
}

/// The reply to [`Earmark`].
#[model]
pub struct Earmarked {
    /// The account of the loan.
    pub account: Uuid,
}

/// Why no money is set aside.
#[error_model]
pub enum AccountError {
    /// Nobody lends nothing.
    #[error(status = 422, "a loan is of more than nothing")]
    Nothing,
}

/// A person decides about a loan: a signal, which no service handles.
#[contract("Decide")]
pub struct Decide {
    /// Whether the customer gets it.
    pub yes: bool,
    /// Who says so.
    pub by: String,
}
