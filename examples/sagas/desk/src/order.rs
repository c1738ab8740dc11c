//! An online order.

use desk_api::{Carrier, Paid, Pay, Release, Reserve, Reserved, Ship, Shipped};
use minos::prelude::*;

/// An online order: reserve, pay, ship. The payment is the **pivot**: until then everything can be undone, afterwards
/// the order only goes forward, and shipping is tried again for days.
#[model]
pub struct Order {
    /// The customer's number of it.
    pub number: String,
    /// What is bought.
    pub article: String,
    /// What it costs.
    pub amount: u64,
    /// The reservation, once there is one.
    #[serde(default)]
    pub reservation: Option<Uuid>,
    /// The payment, once there is one.
    #[serde(default)]
    pub payment: Option<Uuid>,
    /// The parcel, once it is on its way.
    #[serde(default)]
    pub parcel: Option<Uuid>,
}

#[saga(deadline = "1h")]
impl Order {
    #[step(on_success = reserved, compensate = release, timeout = "10s", retry = 2)]
    fn reserve(&self) -> Reserve {
        Reserve {
            article: self.article.clone(),
        }
    }

    fn reserved(&mut self, reply: Reserved) {
        self.reservation = Some(reply.reservation);
    }

    fn release(&self) -> Release {
        Release {
            reservation: self.reservation.unwrap_or_default(),
        }
    }

    #[step(pivot, on_success = paid, timeout = "30s")]
    fn pay(&self) -> Pay {
        Pay {
            amount: self.amount,
        }
    }

    fn paid(&mut self, reply: Paid) {
        self.payment = Some(reply.payment);
    }

    #[step(on_success = shipped, timeout = "1m", backoff = "10m", max_backoff = "1d")]
    fn ship(&self) -> Ship {
        Ship {
            article: self.article.clone(),
            carrier: Carrier::Post,
        }
    }

    fn shipped(&mut self, reply: Shipped) {
        self.parcel = Some(reply.parcel);
    }
}
