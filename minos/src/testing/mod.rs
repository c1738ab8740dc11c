//! For tests: sagas without services, clocks that stand still, and eyes between a service and its store and broker.

mod crash;
mod observed;
mod saga;

pub use self::{
    crash::{CrashReport, CrashTest, crash_test},
    observed::{Moment, ObservedBroker, ObservedStore, Observer},
    saga::{End, SagaTest, saga},
};
pub use crate::clock::FixedClock;
