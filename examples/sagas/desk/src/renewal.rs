//! A subscription that is renewed.

use desk_api::{Charge, Paid, PaymentError};
use minos::prelude::*;

/// A paid term of a subscription.
#[aggregate]
pub struct Term {
    /// Whose.
    pub subscriber: String,
}

/// A renewed subscription: the next term begins at once (a **local** step), and the money for it is asked for again over
/// **days**: after half a day, then after twice as long each time, two days at most. Without money the term ends.
#[model]
pub struct Renewal {
    /// Whose subscription.
    pub subscriber: String,
    /// What it costs.
    pub amount: u64,
    /// From when on there is money.
    pub funded_at: DateTime<Utc>,
    /// The new term.
    #[serde(default)]
    pub term: Option<Uuid>,
    /// How often the bank said no.
    #[serde(default)]
    pub declined: u32,
    /// The payment.
    #[serde(default)]
    pub payment: Option<Uuid>,
}

#[saga]
impl Renewal {
    #[step(compensate = end_term)]
    fn begin_term(&mut self, cx: &Context) -> Result<()> {
        let subscriber = self.subscriber.clone();
        self.term = Some(Term::create(cx, Term { subscriber })?.uuid());
        Ok(())
    }

    async fn end_term(&mut self, cx: &Context) -> Result<()> {
        let Some(term) = self.term.take() else {
            return Ok(());
        };
        Term::get(cx, term).await?.delete(cx)
    }

    #[step(
        on_success = charged, on_error = declined,
        timeout = "1m", retry = 5, backoff = "12h", max_backoff = "2d"
    )]
    fn charge(&self) -> Charge {
        Charge {
            amount: self.amount,
            funded_at: self.funded_at,
        }
    }

    fn charged(&mut self, reply: Paid) {
        self.payment = Some(reply.payment);
    }

    fn declined(&mut self, _error: PaymentError) -> Verdict {
        self.declined += 1;
        // As often as `retry` says; then the saga is undone.
        Verdict::Retry
    }
}
