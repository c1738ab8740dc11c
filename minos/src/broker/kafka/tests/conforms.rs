use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::broker::conformance::{self, Fixture};

struct Kafka {
    options: Options,
    broker: Broker,
}

impl Kafka {
    async fn new() -> Self {
        let options = options();
        let broker = open(&options).await;
        Self { options, broker }
    }
}

#[async_trait]
impl Fixture for Kafka {
    fn broker(&self) -> Arc<dyn crate::broker::Broker> {
        Arc::new(self.broker.clone())
    }

    fn limit(&self) -> usize {
        self.options.limit()
    }

    async fn inject(&self, topic: &str, key: &str, bytes: &[u8]) {
        write(&self.options, topic, key, bytes).await;
    }

    async fn reopen(&mut self) -> bool {
        crate::broker::Broker::close(&self.broker).await;
        self.broker = open(&self.options).await;
        true
    }
}

conformance::suite!(suite, Kafka::new().await);
