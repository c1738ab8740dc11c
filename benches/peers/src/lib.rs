//! The service whose events are followed: a crate of its own, so that the one that is written to has no reader.

use std::{sync::OnceLock, time::Instant};

use minos::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

minos::service!("live");

/// What is written.
#[aggregate]
pub struct Sample {
    /// Which one it is.
    pub number: u64,
    /// What makes it about 200 bytes.
    pub note: String,
}

/// Where the handler says what it saw, and when.
pub static SEEN: OnceLock<UnboundedSender<(u64, Instant)>> = OnceLock::new();

/// Follows the log.
#[derive(Debug, Default)]
pub struct Follower;

#[query_service]
impl Follower {
    #[enroute::broker::event("SampleCreated")]
    async fn sample_created(&self, event: Request<Created<Sample>>) -> Result<()> {
        let number = event.content().state.number;
        SEEN.get()
            .and_then(|seen| seen.send((number, Instant::now())).ok())
            .ok_or_else(|| Error::new(minos::error::Kind::Internal, "nobody listens"))
    }
}
