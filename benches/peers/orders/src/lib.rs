//! The service whose sagas are measured: three steps, two of them at another service, each with an effect that is an
//! event.

use minos::prelude::*;
use peers_depot::{Release, Reserve, Reserved, Ship, Shipped};

minos::service!("orders");

/// An order that is done.
#[aggregate]
pub struct Booking {
    /// Which order.
    pub order: Uuid,
    /// What makes its event about 200 bytes.
    pub note: String,
}

/// An order.
#[model]
pub struct Order {
    /// Its id.
    pub order: Uuid,
    /// What makes events about 200 bytes.
    pub note: String,
    /// What was set aside.
    #[serde(default)]
    pub reservation: Option<Uuid>,
    /// What was sent off.
    #[serde(default)]
    pub parcel: Option<Uuid>,
}

#[saga(deadline = "10m")]
impl Order {
    #[step(on_success = reserved, compensate = release)]
    fn reserve(&self) -> Reserve {
        Reserve {
            order: self.order,
            note: self.note.clone(),
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

    #[step(on_success = shipped, pivot)]
    fn ship(&self) -> Ship {
        Ship {
            order: self.order,
            note: self.note.clone(),
        }
    }

    fn shipped(&mut self, reply: Shipped) {
        self.parcel = Some(reply.parcel);
    }

    #[step]
    async fn book(&mut self, cx: &Context) -> Result<()> {
        let (order, note) = (self.order, self.note.clone());
        Booking::create(cx, Booking { order, note })?;
        Ok(())
    }
}

/// A service needs a handler; the bench starts sagas in units of its own.
#[derive(Debug, Default)]
pub struct Orders;

#[command_service]
impl Orders {
    /// A new order.
    #[enroute::broker::command("PlaceOrder")]
    async fn place(&self, cx: &Context, request: Request<Order>) -> Result<()> {
        cx.start(request.into_content()).map(drop)
    }
}
