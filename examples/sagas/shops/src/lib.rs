//! The service `shops`: stock, shipping, bank, and travel agency. What they do is an event each, so that it can be
//! counted; what they are asked to undo and is gone already is as good as undone.

mod aggregate;
mod bank;
mod goods;
mod travel;

use minos::{error::Kind, prelude::*};

pub use self::{
    aggregate::{
        Account, AccountDiff, Car, CarDiff, Parcel, ParcelDiff, Payment, PaymentDiff, Policy,
        PolicyDiff, Reservation, ReservationDiff, Room, RoomDiff, Seat, SeatDiff,
    },
    bank::Bank,
    goods::Warehouse,
    travel::Agency,
};

minos::service!("shops");

/// Deletes what may be gone already.
async fn remove<A: Aggregate>(cx: &Context, uuid: Uuid) -> Result<()> {
    match A::get(cx, uuid).await {
        Ok(found) => found.delete(cx),
        Err(e) if e.kind() == Some(Kind::NotFound) => Ok(()),
        Err(e) => Err(e),
    }
}
