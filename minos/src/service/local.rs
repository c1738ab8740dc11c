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

pub(super) async fn open(
    path: &Path,
    settings: &config::Broker,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>> {
    let options = Options::default()
        .partitions(settings.partitions)
        .lease(settings.lease)
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
