//! Apache Kafka as the broker.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{
        Broker,
        kafka::{self, Options},
    },
    config,
    error::{Failure, Kind, Result},
};

/// The shortest session that clusters take unless they are configured otherwise.
const SESSION: Duration = Duration::from_secs(6);

pub(super) async fn open(servers: &str, settings: &config::Broker) -> Result<Arc<dyn Broker>> {
    let mut options = Options::new(servers)
        .prefix(&settings.prefix)
        .partitions(settings.partitions)
        .replication(settings.replication)
        .session(settings.lease.max(SESSION));
    for (name, value) in settings.properties.exposed() {
        options = options.property(name, value);
    }
    let broker = kafka::Broker::open(options).await.map_err(|e| {
        let cause =
            std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
        let text =
            format!("broker.url = \"kafka://{servers}\": {cause}; look at `broker.properties`");
        Failure::new(Kind::Config, text).because(e)
    })?;
    Ok(Arc::new(broker))
}
