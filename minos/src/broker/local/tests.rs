//! What only this backend promises, and the suite of all.

use super::*;
use crate::broker::{
    Broker as _,
    conformance::{self, Fixture},
};

struct Local {
    folder: tempfile::TempDir,
    broker: Broker,
}

async fn open(folder: &tempfile::TempDir) -> Broker {
    let path = folder.path().join("broker.db");
    Broker::open(path, Options::default()).await.unwrap()
}

impl Local {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = open(&folder).await;
        Self { folder, broker }
    }
}

#[async_trait]
impl Fixture for Local {
    fn broker(&self) -> Arc<dyn crate::broker::Broker> {
        Arc::new(self.broker.clone())
    }

    fn limit(&self) -> usize {
        self.broker.shared.options.limit
    }

    async fn inject(&self, topic: &str, key: &str, bytes: &[u8]) {
        let topic = self.broker.topic(topic).await.unwrap();
        let partition = share::partition(key, topic.partitions);
        let mut chunk = Chunk::default();
        chunk.push(topic, partition, (bytes.len(), 0), bytes);
        let ask = |answer| Op::Publish(chunk, answer);
        self.broker.shared.queue.ask(ask).await.unwrap();
    }

    async fn reopen(&mut self) -> bool {
        self.broker.close().await;
        self.broker = open(&self.folder).await;
        true
    }
}

conformance::suite!(conforms, Local::new().await);
