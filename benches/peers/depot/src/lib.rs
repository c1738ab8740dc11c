//! The participant of the saga that is measured: each of its two commands makes an aggregate.

use minos::prelude::*;

minos::service!("depot");

/// Goods that are set aside.
#[aggregate]
pub struct Reservation {
    /// For which order.
    pub order: Uuid,
    /// What makes its event about 200 bytes.
    pub note: String,
}

/// Goods that leave.
#[aggregate]
pub struct Parcel {
    /// For which order.
    pub order: Uuid,
    /// What makes its event about 200 bytes.
    pub note: String,
}

/// Set goods aside.
#[contract(reply = Reserved)]
pub struct Reserve {
    /// For which order.
    pub order: Uuid,
    /// What the reservation says.
    pub note: String,
}

/// They are set aside.
#[model]
pub struct Reserved {
    /// As this reservation.
    pub reservation: Uuid,
}

/// Put what was set aside back.
#[contract]
pub struct Release {
    /// Which reservation.
    pub reservation: Uuid,
}

/// Send goods off.
#[contract(reply = Shipped)]
pub struct Ship {
    /// For which order.
    pub order: Uuid,
    /// What the parcel says.
    pub note: String,
}

/// They are on their way.
#[model]
pub struct Shipped {
    /// As this parcel.
    pub parcel: Uuid,
}

/// Keeps goods.
#[derive(Debug, Default)]
pub struct Depot;

#[command_service]
impl Depot {
    /// Sets goods aside.
    #[enroute::broker::command(Reserve)]
    async fn reserve(&self, cx: &Context, request: Request<Reserve>) -> Result<Reserved> {
        let Reserve { order, note } = request.into_content();
        let reservation = Reservation::create(cx, Reservation { order, note })?;
        Ok(Reserved {
            reservation: reservation.uuid(),
        })
    }

    /// Puts them back.
    #[enroute::broker::command(Release)]
    async fn release(&self, cx: &Context, request: Request<Release>) -> Result<()> {
        let reservation = Reservation::get(cx, request.content().reservation).await?;
        reservation.delete(cx)
    }

    /// Sends them off.
    #[enroute::broker::command(Ship)]
    async fn ship(&self, cx: &Context, request: Request<Ship>) -> Result<Shipped> {
        let Ship { order, note } = request.into_content();
        let parcel = Parcel::create(cx, Parcel { order, note })?;
        Ok(Shipped {
            parcel: parcel.uuid(),
        })
    }
}
