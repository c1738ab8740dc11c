//! The six sagas: by themselves, killed at every moment at which something becomes durable, and as pictures.

mod delivery;
mod diagrams;
mod doors;
mod holiday;
mod loan;
mod order;
mod renewal;
mod servers;
mod trip;

use minos::prelude::*;

/// Some id.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
