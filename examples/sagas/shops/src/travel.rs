//! The travel agency: it books rooms, seats, and cars, and insures.

use desk_api::{
    BookCar, BookFlight, BookHotel, Booked, CancelCar, CancelFlight, CancelHotel, CancelPolicy,
    CancelTrip, FullyBooked, Insure, Insured, TooRisky,
};
use minos::prelude::*;

use crate::{Car, Payment, Policy, Room, Seat, remove};

/// Books, cancels, and insures.
#[derive(Debug, Default)]
pub struct Agency;

#[command_service]
impl Agency {
    /// Book a room.
    #[enroute::broker::command(BookHotel)]
    async fn book_hotel(
        &self,
        cx: &Context,
        request: Request<BookHotel>,
    ) -> Result<Booked, Error<FullyBooked>> {
        let city = free("a room", request.into_content().city, &["nowhere"])?;
        let booking = Room::create(cx, Room { city })?.uuid();
        Ok(Booked { booking })
    }

    /// Book a seat.
    #[enroute::broker::command(BookFlight)]
    async fn book_flight(
        &self,
        cx: &Context,
        request: Request<BookFlight>,
    ) -> Result<Booked, Error<FullyBooked>> {
        let city = free("a seat", request.into_content().city, &["nowhere"])?;
        let booking = Seat::create(cx, Seat { city })?.uuid();
        Ok(Booked { booking })
    }

    /// Book a car.
    #[enroute::broker::command(BookCar)]
    async fn book_car(
        &self,
        cx: &Context,
        request: Request<BookCar>,
    ) -> Result<Booked, Error<FullyBooked>> {
        let city = free("a car", request.into_content().city, &["nowhere", "venice"])?;
        let booking = Car::create(cx, Car { city })?.uuid();
        Ok(Booked { booking })
    }

    /// Cancel a room.
    #[enroute::broker::command(CancelHotel)]
    async fn cancel_hotel(&self, cx: &Context, request: Request<CancelHotel>) -> Result<()> {
        remove::<Room>(cx, request.content().booking).await
    }

    /// Cancel a seat.
    #[enroute::broker::command(CancelFlight)]
    async fn cancel_flight(&self, cx: &Context, request: Request<CancelFlight>) -> Result<()> {
        remove::<Seat>(cx, request.content().booking).await
    }

    /// Cancel a car.
    #[enroute::broker::command(CancelCar)]
    async fn cancel_car(&self, cx: &Context, request: Request<CancelCar>) -> Result<()> {
        remove::<Car>(cx, request.content().booking).await
    }

    /// Cancel all of a trip: everything at once, or nothing.
    #[enroute::broker::command(CancelTrip)]
    async fn cancel_trip(&self, cx: &Context, request: Request<CancelTrip>) -> Result<()> {
        let trip = request.into_content();
        remove::<Payment>(cx, trip.payment).await?;
        remove::<Room>(cx, trip.hotel).await?;
        remove::<Seat>(cx, trip.flight).await?;
        remove::<Car>(cx, trip.car).await
    }

    /// Insure something.
    #[enroute::broker::command(Insure)]
    async fn insure(
        &self,
        cx: &Context,
        request: Request<Insure>,
    ) -> Result<Insured, Error<TooRisky>> {
        let Insure { what } = request.into_content();
        if what == "volcano" {
            return Err(TooRisky::Risk { what }.into());
        }
        let policy = Policy::create(cx, Policy { what })?.uuid();
        Ok(Insured { policy })
    }

    /// End an insurance.
    #[enroute::broker::command(CancelPolicy)]
    async fn cancel_policy(&self, cx: &Context, request: Request<CancelPolicy>) -> Result<()> {
        remove::<Policy>(cx, request.content().policy).await
    }
}

/// The city, if it has some left.
fn free(what: &str, city: String, full: &[&str]) -> Result<String, FullyBooked> {
    if full.contains(&city.as_str()) {
        let what = what.to_owned();
        return Err(FullyBooked::Full { what, city });
    }
    Ok(city)
}
