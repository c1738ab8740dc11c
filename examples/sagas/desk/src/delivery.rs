//! A delivery.

use desk_api::{CallBack, CancelPolicy, Carrier, Insure, Insured, Paid, Pay, Ship, Shipped};
use minos::prelude::*;

/// A delivery: what is worth it is insured (**`when`**), what is urgent goes by express, what is heavy by freight, all
/// else by post (**`choice`**), then it is paid. Only what ran is undone.
#[model]
pub struct Delivery {
    /// What is sent.
    pub article: String,
    /// What it is worth.
    pub worth: u64,
    /// How heavy it is.
    pub kilos: u32,
    /// Whether it must be there tomorrow.
    pub urgent: bool,
    /// What the delivery costs.
    pub amount: u64,
    /// The insurance, if it is worth it.
    #[serde(default)]
    pub policy: Option<Uuid>,
    /// The parcel.
    #[serde(default)]
    pub parcel: Option<Uuid>,
    /// The payment.
    #[serde(default)]
    pub payment: Option<Uuid>,
}

#[saga]
impl Delivery {
    #[step(when = is_precious, on_success = insured, compensate = cancel_policy)]
    fn insure(&self) -> Insure {
        Insure {
            what: self.article.clone(),
        }
    }

    #[step(choice = carrier, when = is_urgent, on_success = shipped, compensate = call_back)]
    fn by_express(&self) -> Ship {
        self.by(Carrier::Express)
    }

    #[step(choice = carrier, when = is_heavy, on_success = shipped, compensate = call_back)]
    fn by_freight(&self) -> Ship {
        self.by(Carrier::Freight)
    }

    #[step(choice = carrier, on_success = shipped, compensate = call_back)]
    fn by_post(&self) -> Ship {
        self.by(Carrier::Post)
    }

    #[step(on_success = paid)]
    fn pay(&self) -> Pay {
        Pay {
            amount: self.amount,
        }
    }

    fn is_precious(&self) -> bool {
        self.worth > 500
    }

    fn is_urgent(&self) -> bool {
        self.urgent
    }

    fn is_heavy(&self) -> bool {
        self.kilos > 30
    }

    fn insured(&mut self, reply: Insured) {
        self.policy = Some(reply.policy);
    }

    fn cancel_policy(&self) -> CancelPolicy {
        CancelPolicy {
            policy: self.policy.unwrap_or_default(),
        }
    }

    fn shipped(&mut self, reply: Shipped) {
        self.parcel = Some(reply.parcel);
    }

    fn call_back(&self) -> CallBack {
        CallBack {
            parcel: self.parcel.unwrap_or_default(),
        }
    }

    fn paid(&mut self, reply: Paid) {
        self.payment = Some(reply.payment);
    }
}

impl Delivery {
    fn by(&self, carrier: Carrier) -> Ship {
        Ship {
            article: self.article.clone(),
            carrier,
        }
    }
}
