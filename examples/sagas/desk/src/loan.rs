//! A loan.

use desk_api::{Decide, Earmark, Earmarked, PayOut, Unearmark};
use minos::prelude::*;

/// A loan: money is set aside, then a **person** decides (`signal`), then it is paid out. Who does not decide within a
/// week has said no (`on_timeout`). While it waits it costs one row and no thread.
#[model]
pub struct Loan {
    /// Who borrows.
    pub customer: String,
    /// How much.
    pub amount: u64,
    /// Where the money is set aside.
    #[serde(default)]
    pub account: Option<Uuid>,
    /// Who decided.
    #[serde(default)]
    pub decided_by: Option<String>,
    /// Whether nobody did.
    #[serde(default)]
    pub lapsed: bool,
}

#[saga]
impl Loan {
    #[step(on_success = earmarked, compensate = unearmark)]
    fn earmark(&self) -> Earmark {
        Earmark {
            customer: self.customer.clone(),
            amount: self.amount,
        }
    }

    fn earmarked(&mut self, reply: Earmarked) {
        self.account = Some(reply.account);
    }

    fn unearmark(&self) -> Unearmark {
        Unearmark {
            account: self.account.unwrap_or_default(),
        }
    }

    #[step(signal, timeout = "7d", on_timeout = lapse)]
    fn decided(&mut self, decision: Decide) -> Verdict {
        self.decided_by = Some(decision.by);
        if decision.yes {
            Verdict::Continue
        } else {
            Verdict::Compensate
        }
    }

    fn lapse(&mut self) -> Verdict {
        self.lapsed = true;
        Verdict::Compensate
    }

    #[step(pivot)]
    fn pay_out(&self) -> PayOut {
        PayOut {
            account: self.account.unwrap_or_default(),
        }
    }
}
