//! Publishing: a batch is enqueued as a whole and awaited as a whole.
//!
//! The producer is idempotent: within its life nothing is lost, doubled, or put in another order. Whatever goes
//! wrong ends its life: it is purged and thrown away, all that wait on it are told, and the next publication gets a
//! new one. So a message is never given up alone with those behind it going through.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{
        BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
    },
};
use tokio::sync::Notify;

use super::{Options, error, log, off::Off};
use crate::broker::{Error, Result, cloudevents::Pairs};

/// How many messages are enqueued without letting other tasks run.
const STRIDE: usize = 64;

/// One record, ready to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) key: &'a str,
    pub(super) headers: Pairs<'a>,
    pub(super) value: &'a str,
}

impl Outgoing<'_> {
    /// Its size in bytes, as librdkafka counts it or a little above.
    pub(super) fn size(&self) -> usize {
        let header = |(name, value): &(&str, Cow<'_, str>)| name.len() + value.len() + 10;
        let headers: usize = self.headers.iter().map(header).sum();
        self.key.len() + self.value.len() + headers + 5
    }
}

/// What one publication waits for.
#[derive(Default)]
pub(super) struct Batch {
    left: AtomicUsize,
    failed: Mutex<Option<KafkaError>>,
    done: Notify,
}

impl Batch {
    fn fail(&self, e: KafkaError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(e);
        self.done.notify_one();
    }

    fn failed(&self) -> Option<KafkaError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone()
    }
}

/// Hears of deliveries, on the producer's own thread.
pub(super) struct Reports {
    /// There may be room in the queue again.
    room: Arc<Notify>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log::line(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::event(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        if let Err((e, _)) = result {
            batch.fail(e.clone());
        }
        if batch.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            batch.done.notify_one();
        }
        self.room.notify_waiters();
    }
}

type Client = Off<ThreadedProducer<Reports>>;

/// The producer of the moment.
pub(super) struct Producer {
    options: Options,
    room: Arc<Notify>,
    now: tokio::sync::Mutex<Option<Client>>,
}

impl Producer {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            room: Arc::default(),
            now: tokio::sync::Mutex::default(),
        }
    }

    /// The client; a new one if there is none. It gets its id from Kafka meanwhile.
    pub(super) async fn client(&self) -> Result<Client> {
        let mut now = self.now.lock().await;
        if let Some(client) = &*now {
            return Ok(client.clone());
        }
        let (config, room) = (self.options.producer(), self.room.clone());
        let create = move || config.create_with_context(Reports { room });
        let client: ThreadedProducer<Reports> = tokio::task::spawn_blocking(create)
            .await
            .map_err(error::ended)?
            .map_err(error::config)?;
        Ok(now.insert(Off::new(client)).clone())
    }

    pub(super) async fn publish(&self, records: Vec<Outgoing<'_>>) -> Result<()> {
        let client = self.client().await?;
        let largest = records.iter().map(Outgoing::size).max();
        let batch = Arc::new(Batch::default());
        let sent = match self.enqueue(&client, &batch, records).await {
            Ok(()) => self.delivered(&batch).await,
            Err(e) => Err(e),
        };
        let Err(e) = sent else {
            return Ok(());
        };
        self.discard(&client).await?;
        match (e.rdkafka_error_code(), largest) {
            // The topic takes less than this client believes.
            (
                Some(
                    RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge,
                ),
                Some(size),
            ) => Err(Error::TooLarge {
                size,
                limit: size - 1,
            }),
            _ => Err(error::from(e)),
        }
    }

    async fn enqueue(
        &self,
        client: &Client,
        batch: &Arc<Batch>,
        records: Vec<Outgoing<'_>>,
    ) -> Result<(), KafkaError> {
        batch.left.store(records.len(), Ordering::Release);
        for (i, record) in records.into_iter().enumerate() {
            if i % STRIDE == STRIDE - 1 {
                tokio::task::yield_now().await;
            }
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in &record.headers {
                let value = Some(value.as_bytes());
                headers = headers.insert(Header { key, value });
            }
            let mut next = BaseRecord::with_opaque_to(&record.topic, batch.clone())
                .partition(record.partition)
                .key(record.key)
                .payload(record.value)
                .headers(headers);
            loop {
                let room = self.room.notified();
                let again = match client.send(next) {
                    Ok(()) => break,
                    Err((e, again)) => match e.rdkafka_error_code() {
                        Some(RDKafkaErrorCode::QueueFull) => again,
                        _ => return Err(e),
                    },
                };
                next = again;
                if tokio::time::timeout(self.options.patience, room)
                    .await
                    .is_err()
                {
                    return Err(timed_out());
                }
            }
        }
        Ok(())
    }

    /// Waits for all of a batch, as long as something moves.
    async fn delivered(&self, batch: &Batch) -> Result<(), KafkaError> {
        let mut before = batch.left.load(Ordering::Acquire);
        loop {
            if let Some(e) = batch.failed() {
                return Err(e);
            }
            if batch.left.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            let waited = tokio::time::timeout(self.options.patience, batch.done.notified()).await;
            let left = batch.left.load(Ordering::Acquire);
            if waited.is_err() && left == before {
                return Err(timed_out());
            }
            before = left;
        }
    }

    /// Throws a client away: nothing that it still holds is sent after its successor's first message.
    async fn discard(&self, client: &Client) -> Result<()> {
        let mut now = self.now.lock().await;
        if now.as_ref().is_some_and(|c| c.is(client)) {
            *now = None;
        }
        drop(now);
        client
            .run(|client| client.purge(PurgeConfig::default().queue().inflight()))
            .await
    }

    /// Lets go of the client once what is in work is done.
    pub(super) async fn close(&self, patience: Duration) {
        let Some(client) = self.now.lock().await.take() else {
            return;
        };
        // What fails here was told to whoever published it.
        let _ = client.run(move |client| client.flush(patience)).await;
    }
}

fn timed_out() -> KafkaError {
    KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)
}
