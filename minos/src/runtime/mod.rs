//! What runs beside the handlers: relay, consumers, followers of the own log, sagas, and timers.

mod consumer;
mod desk;
mod due;
mod event;
mod follower;
mod handle;
mod keeper;
mod keyed;
mod letters;
mod operation;
mod park;
mod react;
mod relay;
mod revive;
mod sagas;
mod supervise;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use self::{
    consumer::{Consumer, foreign, requests},
    due::Due,
    follower::Follower,
    handle::{Handler, Retries},
    keeper::Keeper,
    relay::Relay,
    supervise::{Stop, Supervisor},
};

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::{
    follower::is_behind,
    relay::unsent,
    sagas::{commit, drive, told},
};

pub use self::{
    desk::{Sagas, ShownSaga},
    letters::{DeadLetters, Left, Report},
    operation::{Decision, Operation},
};

use std::time::Duration;

use crate::clock::Clock;

/// The pause before a repetition: from `first`, doubled each time up to `most`, jittered by half.
pub(crate) fn backoff(
    clock: &dyn Clock,
    repetition: u32,
    first: Duration,
    most: Duration,
) -> Duration {
    let full = first.saturating_mul(1 << repetition.min(16)).min(most);
    full.mul_f64(0.5 + clock.chance() / 2.0)
}
