//! From the broker to handlers and sagas.

use std::{collections::BTreeSet, sync::Arc};

use tracing::error;

use super::{
    Stop,
    handle::{Handler, Incoming},
    keyed::{Keyed, Offsets},
    operation::plain,
};
use crate::{
    broker::{Broker, Delivery, Origin, Undecodable},
    enroute::{Door, Handlers},
    error::Result,
    health::Health,
    message::{Kind, Message, replies_topic},
    store::{DeadLetter, InboxMark, Reason, UnitOfWork},
};

/// How many deliveries are unfinished at most; then the broker is not asked for more.
const WINDOW: usize = 512;

/// Consumes topics for a service: its requests, or the foreign events of one impl block. An impl block is a group
/// of its own, so that one that is new reads from the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    pub(crate) handler: Handler,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
    /// Its members share the messages; another group gets them all again.
    pub(crate) group: String,
    pub(crate) topics: Vec<String>,
    pub(crate) concurrency: usize,
}

/// What a service is asked: its commands and queries, and the replies to its sagas.
pub(crate) fn requests(service: &str, handlers: &[Handlers], has_sagas: bool) -> Vec<String> {
    let topic = |door: &Door| match door {
        Door::Command { topic } | Door::Query { topic } => Some((*topic).to_owned()),
        Door::Event { .. } | Door::Http { .. } => None,
    };
    let routes = handlers.iter().flat_map(|h| &h.routes);
    let mut topics: BTreeSet<String> = routes.filter_map(|r| topic(&r.door)).collect();
    if has_sagas {
        topics.insert(replies_topic(service));
    }
    topics.into_iter().collect()
}

/// What an impl block is told by other services: the events that are not in the own log.
pub(crate) fn foreign(handlers: &Handlers, own: &BTreeSet<&'static str>) -> Vec<String> {
    let topic = |door: &Door| match door {
        Door::Event { topic, .. } if !own.contains(topic) => Some((*topic).to_owned()),
        _ => None,
    };
    let topics: BTreeSet<String> = handlers
        .routes
        .iter()
        .filter_map(|r| topic(&r.door))
        .collect();
    topics.into_iter().collect()
}

impl Consumer {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        self.broker.ensure_topics(&self.topics).await?;
        let mut subscription = self.broker.subscribe(&self.group, &self.topics).await?;
        self.health.up(&self.name);
        self.handler.loose.notify_one();
        let mut keyed: Keyed<Delivery> = Keyed::new(self.concurrency);
        let mut offsets = Offsets::default();
        let (done_tx, mut done_rx) = tokio::sync::mpsc::unbounded_channel::<Origin>();
        let service = Arc::new(self.clone());
        loop {
            if !stop.stopped() {
                keyed.start(|delivery| {
                    let (service, done) = (service.clone(), done_tx.clone());
                    async move {
                        service.deliver(&delivery).await?;
                        // The receiver lives as long as this loop.
                        let _ = done.send(delivery.origin);
                        Ok(())
                    }
                });
            }
            while let Ok(origin) = done_rx.try_recv() {
                offsets.done(&origin);
            }
            let committable = offsets.take_committable();
            if !committable.is_empty() {
                subscription.commit(&committable).await?;
            }
            let room = WINDOW.saturating_sub(keyed.len());
            if stop.stopped() && !keyed.is_running() {
                return Ok(());
            }
            tokio::select! {
                batch = subscription.next(room), if room > 0 && !stop.stopped() => {
                    for delivery in batch? {
                        offsets.delivered(&delivery.origin);
                        keyed.push(key(&delivery), delivery);
                    }
                }
                finished = keyed.finished() => finished?,
                () = stop.wait(), if !stop.stopped() => {}
            }
        }
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<()> {
        let origin = Some(&delivery.origin);
        match &delivery.message {
            Ok(message) => self.handler.deliver(Incoming { message, origin }).await,
            Err(undecodable) => self.park_bytes(&delivery.origin, undecodable).await,
        }
    }

    /// Bytes that are no message are parked with their origin; they are in nobody's way.
    async fn park_bytes(&self, origin: &Origin, undecodable: &Undecodable) -> Result<()> {
        let core = &self.handler.core;
        let Undecodable {
            text,
            reason,
            bytes,
        } = undecodable;
        error!(
            topic = origin.topic,
            partition = origin.partition,
            offset = origin.offset,
            reason,
            "not a message"
        );
        let id = origin_id(origin);
        let at = core.clock.now();
        let mut unit = UnitOfWork::new(core.clock.new_uuid(), at);
        let consumer = format!("parked:{}", core.name);
        unit.inbox = Some(InboxMark {
            consumer,
            message: id,
            outcome: None,
        });
        unit.dead_letters.push(DeadLetter {
            id: core.clock.new_uuid(),
            consumer: core.name.clone(),
            key: id.to_string(),
            message: Message {
                id,
                kind: Kind::Event,
                topic: origin.topic.clone(),
                name: "undecodable".to_owned(),
                key: format!("{}/{}", origin.partition, origin.offset),
                at,
                headers: crate::message::Headers::default(),
                payload: crate::payload::Payload::encode(&plain(text))?,
            },
            reason: Reason::Undecodable,
            error: reason.to_owned(),
            attempts: 0,
            at,
            origin: Some(origin.clone()),
            history: Vec::new(),
            bytes: Some(bytes.to_vec()),
        });
        match core.store.commit(unit).await {
            Err(crate::store::Error::Duplicate { .. }) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// A stable id of a place in a topic, so that a redelivery is known.
fn origin_id(origin: &Origin) -> uuid::Uuid {
    let name = format!("{}/{}/{}", origin.topic, origin.partition, origin.offset);
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes())
}

/// Messages of one key of one topic stay in order.
fn key(delivery: &Delivery) -> String {
    match &delivery.message {
        Ok(message) => format!("{}/{}", message.topic, message.key),
        Err(_) => format!("{}/{}/?", delivery.origin.topic, delivery.origin.partition),
    }
}

/// Whether an impl block reads this topic's events.
pub(super) fn subscribes(handlers: &Handlers, message: &Message) -> bool {
    let reads = |door: &Door| matches!(door, Door::Event { topic, .. } if *topic == message.topic);
    handlers.routes.iter().any(|r| reads(&r.door))
}
