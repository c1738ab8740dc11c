//! The warehouse: it reserves and ships.

use desk_api::{CallBack, Release, Reserve, Reserved, Ship, ShipError, Shipped, StockError};
use minos::prelude::*;

use crate::{Parcel, Reservation, remove};

/// Reserves and ships.
#[derive(Debug, Default)]
pub struct Warehouse;

#[command_service]
impl Warehouse {
    /// Reserve an article.
    #[enroute::broker::command(Reserve)]
    async fn reserve(
        &self,
        cx: &Context,
        request: Request<Reserve>,
    ) -> Result<Reserved, Error<StockError>> {
        let Reserve { article } = request.into_content();
        if article == "none" {
            return Err(StockError::SoldOut { article }.into());
        }
        let reservation = Reservation::create(cx, Reservation { article })?.uuid();
        Ok(Reserved { reservation })
    }

    /// Put a reserved article back.
    #[enroute::broker::command(Release)]
    async fn release(&self, cx: &Context, request: Request<Release>) -> Result<()> {
        remove::<Reservation>(cx, request.content().reservation).await
    }

    /// Send a parcel.
    #[enroute::broker::command(Ship)]
    async fn ship(
        &self,
        cx: &Context,
        request: Request<Ship>,
    ) -> Result<Shipped, Error<ShipError>> {
        let Ship { article, carrier } = request.into_content();
        if article == "none" {
            return Err(ShipError::Empty { article }.into());
        }
        let parcel = Parcel::create(cx, Parcel { article, carrier })?.uuid();
        Ok(Shipped { parcel })
    }

    /// Call a parcel back.
    #[enroute::broker::command(CallBack)]
    async fn call_back(&self, cx: &Context, request: Request<CallBack>) -> Result<()> {
        remove::<Parcel>(cx, request.content().parcel).await
    }
}
