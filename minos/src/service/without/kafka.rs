//! A build without the feature `kafka`.

use std::sync::Arc;

use crate::{
    broker::Broker,
    config,
    error::{Error, Kind, Result},
};

#[allow(
    clippy::unused_async,
    reason = "the broker of the feature `kafka` is opened asynchronously"
)]
pub(super) async fn open(_servers: &str, _settings: &config::Broker) -> Result<Arc<dyn Broker>> {
    Err(Error::new(
        Kind::Config,
        "broker.url: this build has no `kafka://`; build minos with the feature `kafka`",
    ))
}
