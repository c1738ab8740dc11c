//! What the shops keep.

use desk_api::Carrier;
use minos::prelude::*;

/// An article that nobody else may buy.
#[aggregate]
pub struct Reservation {
    /// Which.
    pub article: String,
}

/// A parcel on its way.
#[aggregate]
pub struct Parcel {
    /// What is in it.
    pub article: String,
    /// Who brings it.
    pub carrier: Carrier,
}

/// Money that was taken.
#[aggregate]
pub struct Payment {
    /// How much.
    pub amount: u64,
}

/// Money that is set aside for a loan.
#[aggregate]
pub struct Account {
    /// Who borrows.
    pub customer: String,
    /// How much.
    pub amount: u64,
    /// Whether the customer has it.
    pub paid_out: bool,
}

/// A room in a hotel.
#[aggregate]
pub struct Room {
    /// Where.
    pub city: String,
}

/// A seat in a plane.
#[aggregate]
pub struct Seat {
    /// To where.
    pub city: String,
}

/// A rented car.
#[aggregate]
pub struct Car {
    /// Where.
    pub city: String,
}

/// An insurance.
#[aggregate]
pub struct Policy {
    /// What is insured.
    pub what: String,
}
