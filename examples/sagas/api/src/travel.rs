//! Hotels, flights, cars, and insurance.

use minos::prelude::*;

/// Books a room.
#[contract("BookHotel", reply = Booked, error = FullyBooked)]
pub struct BookHotel {
    /// Where; "nowhere" has no room.
    pub city: String,
}

/// Books a seat.
#[contract("BookFlight", reply = Booked, error = FullyBooked)]
pub struct BookFlight {
    /// To where; no plane flies to "nowhere".
    pub city: String,
}

/// Books a car.
#[contract("BookCar", reply = Booked, error = FullyBooked)]
pub struct BookCar {
    /// Where; "nowhere" and "venice" have none.
    pub city: String,
}

/// Cancels a room.
#[contract("CancelHotel")]
pub struct CancelHotel {
    /// Which booking.
    pub booking: Uuid,
}

/// Cancels a seat.
#[contract("CancelFlight")]
pub struct CancelFlight {
    /// Which booking.
    pub booking: Uuid,
}

/// Cancels a car.
#[contract("CancelCar")]
pub struct CancelCar {
    /// Which booking.
    pub booking: Uuid,
}

/// Cancels all of a trip, and gives the money back.
#[contract("CancelTrip")]
pub struct CancelTrip {
    /// The room.
    pub hotel: Uuid,
    /// The seat.
    pub flight: Uuid,
    /// The car.
    pub car: Uuid,
    /// The payment.
    pub payment: Uuid,
}

/// The reply to all three bookings.
#[model]
pub struct Booked {
    /// The booking.
    pub booking: Uuid,
}

/// Why nothing is booked.
#[error_model]
pub enum FullyBooked {
    /// There is nothing left.
    #[error(status = 409, "{what} in {city:?}: fully booked")]
    Full {
        /// What was asked for.
        what: String,
        /// Where.
        city: String,
    },
}

/// Insures something.
#[contract("Insure", reply = Insured, error = TooRisky)]
pub struct Insure {
    /// What; "volcano" is not insured.
    pub what: String,
}

/// Ends an insurance.
#[contract("CancelPolicy")]
pub struct CancelPolicy {
    /// Which policy.
    pub policy: Uuid,
}

/// The reply to [`Insure`].
#[model]
pub struct Insured {
    /// The policy.
    pub policy: Uuid,
}

/// Why nothing is insured.
#[error_model]
pub enum TooRisky {
    /// Nobody takes that risk.
    #[error(status = 422, "{what:?} is too risky")]
    Risk {
        /// What was to be insured.
        what: String,
    },
}
