//! A trip.

use desk_api::{
    BookCar, BookFlight, BookHotel, Booked, CancelCar, CancelFlight, CancelHotel, Paid, Pay,
};
use minos::prelude::*;

/// A trip: hotel, flight, and car are booked **at once** (`parallel`), then it is paid. If one of the three is not to be
/// had, the others are called off, and what they have booked is cancelled together.
#[model]
pub struct Trip {
    /// Where to.
    pub city: String,
    /// What it costs.
    pub amount: u64,
    /// The room.
    #[serde(default)]
    pub hotel: Option<Uuid>,
    /// The seat.
    #[serde(default)]
    pub flight: Option<Uuid>,
    /// The car.
    #[serde(default)]
    pub car: Option<Uuid>,
    /// The payment.
    #[serde(default)]
    pub payment: Option<Uuid>,
}

#[saga]
impl Trip {
    #[step(parallel = booking, on_success = hotel_booked, compensate = cancel_hotel)]
    fn book_hotel(&self) -> BookHotel {
        BookHotel {
            city: self.city.clone(),
        }
    }

    #[step(parallel = booking, on_success = flight_booked, compensate = cancel_flight)]
    fn book_flight(&self) -> BookFlight {
        BookFlight {
            city: self.city.clone(),
        }
    }

    #[step(parallel = booking, on_success = car_booked, compensate = cancel_car)]
    fn book_car(&self) -> BookCar {
        BookCar {
            city: self.city.clone(),
        }
    }

    #[step(on_success = paid)]
    fn pay(&self) -> Pay {
        Pay {
            amount: self.amount,
        }
    }

    fn hotel_booked(&mut self, reply: Booked) {
        self.hotel = Some(reply.booking);
    }

    fn flight_booked(&mut self, reply: Booked) {
        self.flight = Some(reply.booking);
    }

    fn car_booked(&mut self, reply: Booked) {
        self.car = Some(reply.booking);
    }

    fn paid(&mut self, reply: Paid) {
        self.payment = Some(reply.payment);
    }

    fn cancel_hotel(&self) -> CancelHotel {
        CancelHotel {
            booking: self.hotel.unwrap_or_default(),
        }
    }

    fn cancel_flight(&self) -> CancelFlight {
        CancelFlight {
            booking: self.flight.unwrap_or_default(),
        }
    }

    fn cancel_car(&self) -> CancelCar {
        CancelCar {
            booking: self.car.unwrap_or_default(),
        }
    }
}
