//! The embedded broker.

use std::{path::Path, sync::Arc};

use crate::{
    broker::{
        Broker,
        local::{self, Options},
    },
    clock::Clock,
    config,
    error::{Failure, Kind, Result},
};

/// The largest message, in bytes.
const LIMIT: usize = 4 * 1024 * 1024;

pub(super) async fn open(
    path: &Path,
    settings: &config::Broker,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>> {
    let options = Options::default()
        .partitions(settings.partitions)
        .lease(settings.lease)
        // Above the largest body of a request with its envelope, unless somebody raised that.
        .limit(LIMIT)
        .clock(clock.clone());
    let broker = local::Broker::open(path, options).await.map_err(|e| {
        let text = format!(
            "broker.url = \"local://{}\": {e}; name a file that can be written",
            path.display()
        );
        Failure::new(Kind::Config, text).because(e)
    })?;
    Ok(Arc::new(broker))
}
