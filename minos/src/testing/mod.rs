//! For tests: clocks that stand still, and eyes between a service and its store and broker.

mod observed;

pub use self::observed::{Moment, ObservedBroker, ObservedStore, Observer};
pub use crate::clock::FixedClock;
