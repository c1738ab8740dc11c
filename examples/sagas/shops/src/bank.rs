//! The bank: it takes money, gives it back, and lends it.

use desk_api::{
    AccountError, Charge, Earmark, Earmarked, Paid, Pay, PayOut, PaymentError, Refund, Unearmark,
};
use minos::prelude::*;

use crate::{Account, Payment, remove};

/// Takes money, gives it back, and lends it.
#[derive(Debug, Default)]
pub struct Bank;

#[command_service]
impl Bank {
    /// Take money.
    #[enroute::broker::command(Pay)]
    async fn pay(&self, cx: &Context, request: Request<Pay>) -> Result<Paid, Error<PaymentError>> {
        let Pay { amount } = request.into_content();
        if amount == 0 {
            return Err(PaymentError::Declined { amount }.into());
        }
        let payment = Payment::create(cx, Payment { amount })?.uuid();
        Ok(Paid { payment })
    }

    /// Take money from an account that may be empty today.
    #[enroute::broker::command(Charge)]
    async fn charge(
        &self,
        cx: &Context,
        request: Request<Charge>,
    ) -> Result<Paid, Error<PaymentError>> {
        let Charge { amount, funded_at } = request.into_content();
        if cx.now() < funded_at {
            return Err(PaymentError::Declined { amount }.into());
        }
        let payment = Payment::create(cx, Payment { amount })?.uuid();
        Ok(Paid { payment })
    }

    /// Give money back.
    #[enroute::broker::command(Refund)]
    async fn refund(&self, cx: &Context, request: Request<Refund>) -> Result<()> {
        remove::<Payment>(cx, request.content().payment).await
    }

    /// Set money aside for a loan.
    #[enroute::broker::command(Earmark)]
    async fn earmark(
        &self,
        cx: &Context,
        request: Request<Earmark>,
    ) -> Result<Earmarked, Error<AccountError>> {
        let Earmark { customer, amount } = request.into_content();
        if amount == 0 {
            return Err(AccountError::Nothing.into());
        }
        let account = Account {
            customer,
            amount,
            paid_out: false,
        };
        let account = Account::create(cx, account)?.uuid();
        Ok(Earmarked { account })
    }

    /// Set it free again.
    #[enroute::broker::command(Unearmark)]
    async fn unearmark(&self, cx: &Context, request: Request<Unearmark>) -> Result<()> {
        remove::<Account>(cx, request.content().account).await
    }

    /// Pay out what was set aside.
    #[enroute::broker::command(PayOut)]
    async fn pay_out(&self, cx: &Context, request: Request<PayOut>) -> Result<()> {
        let mut account = Account::get(cx, request.content().account).await?;
        account.paid_out = true;
        account.save(cx)
    }
}
