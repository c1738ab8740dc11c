//! A holiday.

use desk_api::{CancelTrip, Insure, Insured};
use minos::prelude::*;

use crate::Trip;

/// A holiday: books a [`Trip`], which is **a saga of its own** (nested), and insures it. Its reply is its final state;
/// if it was undone the holiday has nothing to undo, and if the insurance refuses the whole trip is cancelled.
#[model]
pub struct Holiday {
    /// Where to.
    pub city: String,
    /// What the trip costs.
    pub amount: u64,
    /// What is done there.
    pub sport: String,
    /// The trip, once it is booked.
    #[serde(default)]
    pub trip: Option<Trip>,
    /// The insurance.
    #[serde(default)]
    pub policy: Option<Uuid>,
}

#[saga]
impl Holiday {
    #[step(on_success = booked, compensate = cancel)]
    fn book(&self) -> Trip {
        Trip {
            city: self.city.clone(),
            amount: self.amount,
            hotel: None,
            flight: None,
            car: None,
            payment: None,
        }
    }

    fn booked(&mut self, trip: Trip) {
        self.trip = Some(trip);
    }

    fn cancel(&self) -> CancelTrip {
        let part = |of: fn(&Trip) -> Option<Uuid>| self.trip.as_ref().and_then(of);
        CancelTrip {
            hotel: part(|trip| trip.hotel).unwrap_or_default(),
            flight: part(|trip| trip.flight).unwrap_or_default(),
            car: part(|trip| trip.car).unwrap_or_default(),
            payment: part(|trip| trip.payment).unwrap_or_default(),
        }
    }

    #[step(on_success = insured)]
    fn insure(&self) -> Insure {
        Insure {
            what: self.sport.clone(),
        }
    }

    fn insured(&mut self, reply: Insured) {
        self.policy = Some(reply.policy);
    }
}
