//! The thread of one member: it alone talks to librdkafka.
//!
//! It polls whatever handlers do, so a handler that takes long costs no membership. That it also commits, and that
//! partitions are given up in its polls only, means that nothing is committed after it was given up.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chrono::DateTime;
use rdkafka::{
    client::ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Headers as _, Message as _},
    topic_partition_list::{Offset, TopicPartitionList},
    types::RDKafkaRespErr,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::{
    Options, error, log,
    state::{Failure, Place, Shared},
};
use crate::broker::{Delivery, Origin, Result, Undecodable, cloudevents::Record};

/// How long the thread rests at most when nothing wakes it.
const REST: Duration = Duration::from_millis(100);
/// How many messages are taken in at once.
const GULP: usize = 256;
/// How long Kafka may be away before the member gives up; a restart of a broker is no reason.
const AWAY: Duration = Duration::from_secs(5);
/// How soon a commit is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What the callbacks of the consumer know.
struct Context {
    shared: Arc<Shared>,
    options: Options,
}

type Client = BaseConsumer<Context>;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log::line(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::event(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let moved = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assign(consumer, partitions)
            }
            _ => self.revoke(consumer, partitions),
        };
        if let Err(e) = moved {
            self.shared
                .fail(Failure::Away(format!("a rebalance failed: {e}")));
        }
    }
}

impl Context {
    fn place(&self, topic: &str, partition: i32) -> Place {
        let plain = topic.strip_prefix(&*self.options.prefix).unwrap_or(topic);
        (
            plain.to_owned(),
            u32::try_from(partition).unwrap_or_default(),
        )
    }

    fn places(&self, partitions: &TopicPartitionList) -> Vec<Place> {
        let elements = partitions.elements();
        elements
            .iter()
            .map(|e| self.place(e.topic(), e.partition()))
            .collect()
    }

    fn assign(&self, consumer: &Client, new: &TopicPartitionList) -> KafkaResult<()> {
        let starts = match consumer.committed_offsets(new.clone(), self.options.patience) {
            Ok(committed) => committed,
            Err(e) => {
                // librdkafka waits for an answer; nothing is fetched for a member that failed.
                self.shared
                    .fail(Failure::Away(format!("committed offsets: {e}")));
                return consumer.incremental_assign(new);
            }
        };
        let mut from = TopicPartitionList::new();
        let mut seats = Vec::new();
        for start in starts.elements() {
            let (next, offset) = match start.offset() {
                Offset::Offset(next) => (Some(next), Offset::Offset(next)),
                // A group that never committed begins at the beginning; there is no other way to begin there.
                _ => (None, Offset::Beginning),
            };
            from.add_partition_offset(start.topic(), start.partition(), offset)?;
            seats.push((self.place(start.topic(), start.partition()), next));
        }
        self.shared.assigned(seats.into_iter());
        consumer.incremental_assign(&from)
    }

    fn revoke(&self, consumer: &Client, old: &TopicPartitionList) -> KafkaResult<()> {
        let places = self.places(old);
        self.shared.leaving(&places);
        if consumer.assignment_lost() {
            self.shared.fail(Failure::Away(
                "the group went on without this member".to_owned(),
            ));
        } else if !self.shared.is_over() {
            // What is in work may be finished, so that it is not done again elsewhere.
            let deadline = Instant::now() + self.options.grace;
            commit(self, consumer);
            while self.shared.unfinished() && !self.shared.is_over() && Instant::now() < deadline {
                thread::park_timeout(REST / 10);
                commit(self, consumer);
            }
        }
        self.shared.revoked(&places);
        consumer.incremental_unassign(old)
    }
}

/// Commits what is wished for; `false` if it has to be tried again.
fn commit(context: &Context, consumer: &Client) -> bool {
    let wishes = context.shared.wishes();
    if wishes.is_empty() {
        return true;
    }
    let mut offsets = TopicPartitionList::new();
    for ((topic, partition), offset) in &wishes {
        let topic = context.options.name(topic);
        let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
        // Kafka keeps the next offset to read.
        let next = Offset::Offset(offset + 1);
        if let Err(e) = offsets.add_partition_offset(&topic, partition, next) {
            warn!(error = %e, "an offset cannot be committed");
        }
    }
    match consumer.commit(&offsets, CommitMode::Sync) {
        Ok(()) => {
            context.shared.committed(wishes);
            true
        }
        Err(e) => {
            // The group may be in between; once this member is out of it the partitions are taken from it.
            debug!(error = %e, "offsets cannot be committed now");
            false
        }
    }
}

/// Starts the thread of a member; the answer comes once it has a client.
pub(super) fn start(
    options: Options,
    group: String,
    topics: Vec<String>,
    alive: mpsc::Sender<()>,
) -> Result<(Arc<Shared>, oneshot::Receiver<Result<()>>)> {
    let shared = Arc::new(Shared::default());
    let (ready, started) = oneshot::channel();
    let of_thread = shared.clone();
    let live = move || {
        let shared = of_thread;
        shared.run_by(thread::current());
        let run = AssertUnwindSafe(|| run(&shared, options, &group, &topics, ready));
        if std::panic::catch_unwind(run).is_err() {
            shared.fail(Failure::Away(
                "the thread of this member panicked".to_owned(),
            ));
        }
        shared.fail(Failure::Away("the member has left".to_owned()));
        drop(alive);
    };
    thread::Builder::new()
        .name("minos-kafka".to_owned())
        .spawn(live)
        .map_err(|e| crate::broker::Error::Unavailable(e.into()))?;
    Ok((shared, started))
}

fn run(
    shared: &Arc<Shared>,
    options: Options,
    group: &str,
    topics: &[String],
    ready: oneshot::Sender<Result<()>>,
) {
    let names: Vec<String> = topics.iter().map(|t| options.name(t)).collect();
    let context = Context {
        shared: shared.clone(),
        options: options.clone(),
    };
    let created: KafkaResult<Client> = options.consumer(group).create_with_context(context);
    let created = created.map_err(error::config).and_then(|mut client| {
        let this = thread::current();
        client.set_nonempty_callback(move || this.unpark());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        client.subscribe(&names).map_err(error::from)?;
        Ok(client)
    });
    let client = match created {
        Ok(client) => client,
        Err(e) => {
            // Who asked may have given up.
            let _ = ready.send(Err(e));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let mut member = Member {
        client,
        shared: shared.clone(),
        group: group.to_owned(),
        paused: false,
        away: None,
        commit_at: Instant::now(),
    };
    member.live();
    // The user hears nothing of this; it takes as long as it takes to leave the group.
    drop(member);
}

/// What one poll brought.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one turn of the loop"
)]
enum Polled {
    Message(Delivery, usize),
    Trouble,
    Nothing,
}

/// Takes in what is there, each before the next poll: in that its partition may move, and come back.
fn gulp(shared: &Shared, mut poll: impl FnMut() -> Polled) -> usize {
    // An event that is no message ends a poll as if nothing were there: only the second time it is empty.
    let (mut fetched, mut empty) = (0, 0);
    while fetched < GULP && empty < 2 {
        match poll() {
            Polled::Message(delivery, size) => {
                shared.put(delivery, size);
                fetched += 1;
            }
            Polled::Trouble => {}
            Polled::Nothing => empty += 1,
        }
    }
    if fetched > 0 {
        shared.tell();
    }
    fetched
}

struct Member {
    client: Client,
    shared: Arc<Shared>,
    group: String,
    paused: bool,
    /// Since when, and until when at least, no broker answers.
    away: Option<(Instant, Instant)>,
    commit_at: Instant,
}

impl Member {
    fn live(&mut self) {
        while !self.shared.is_over() {
            if Instant::now() >= self.commit_at && !commit(self.client.context(), &self.client) {
                self.commit_at = Instant::now() + AGAIN;
            }
            self.regulate();
            let shared = self.shared.clone();
            let fetched = gulp(&shared, || match self.client.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let (delivery, size) = self.read(&message);
                    Polled::Message(delivery, size)
                }
                Some(Err(e)) => {
                    self.trouble(&e);
                    Polled::Trouble
                }
                None => Polled::Nothing,
            });
            if fetched == 0 {
                thread::park_timeout(if self.paused { REST / 10 } else { REST });
            } else {
                self.away = None;
            }
        }
    }

    /// Pauses fetching while too much waits.
    fn regulate(&mut self) {
        let pause = self.shared.pauses(self.paused);
        // A paused member may get new partitions at any time.
        if pause || pause != self.paused {
            let all = self.client.assignment();
            let done = all.and_then(|all| {
                if pause {
                    self.client.pause(&all)
                } else {
                    self.client.resume(&all)
                }
            });
            match done {
                Ok(()) => self.paused = pause,
                Err(e) => debug!(error = %e, "fetching cannot be paused or resumed"),
            }
        }
    }

    fn read(&self, message: &BorrowedMessage<'_>) -> (Delivery, usize) {
        let (topic, partition) = self
            .client
            .context()
            .place(message.topic(), message.partition());
        // The library panics over a header whose name is not UTF-8.
        let decoded = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let headers = message.headers().into_iter().flat_map(|h| h.iter());
            let record = Record {
                topic: &topic,
                key: message.key(),
                headers: headers.map(|h| (h.key, h.value)).collect(),
                value: message.payload(),
                at: message
                    .timestamp()
                    .to_millis()
                    .and_then(DateTime::from_timestamp_millis),
            };
            record.decode()
        }));
        let text = || String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        let decoded = decoded.unwrap_or_else(|_| {
            Err(Undecodable {
                text: text(),
                reason: "its headers cannot be read".to_owned(),
                bytes: Vec::new(),
            })
        });
        let size = message.payload_len() + message.key_len() + 256;
        let offset = message.offset();
        let origin = Origin {
            topic,
            partition,
            offset,
        };
        let delivery = Delivery {
            origin,
            message: decoded,
        };
        (delivery, size)
    }

    fn trouble(&mut self, e: &KafkaError) {
        let group = &self.group;
        match (e, e.rdkafka_error_code()) {
            (_, Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset)) => {
                let why = format!(
                    "the committed offset of group `{group}` is outside the log: what it would read next is gone, \
                     or the topic was made anew ({e}). Set the group's offsets where it shall go on"
                );
                self.shared.fail(Failure::Backend(why));
            }
            (_, Some(Code::AllBrokersDown)) => self.missed(),
            (KafkaError::MessageConsumptionFatal(_), _)
            | (
                _,
                Some(
                    Code::PollExceeded
                    | Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::SSL
                    | Code::Fenced
                    | Code::Fatal,
                ),
            ) => self
                .shared
                .fail(Failure::Away(format!("group `{group}`: {e}"))),
            (
                _,
                Some(
                    Code::UnknownTopicOrPartition
                    | Code::UnknownTopic
                    | Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::InvalidSessionTimeout
                    | Code::InconsistentGroupProtocol
                    | Code::InvalidGroupId
                    | Code::UnsupportedVersion,
                ),
            ) => self
                .shared
                .fail(Failure::Backend(format!("group `{group}`: {e}"))),
            // It is tried again, by librdkafka.
            _ => info!(target: "minos::kafka", group, error = %e, "reading is in trouble"),
        }
    }

    /// No broker answers; each attempt to connect says so again.
    fn missed(&mut self) {
        let now = Instant::now();
        let until = now + AWAY / 2;
        let since = match self.away {
            Some((since, last)) if last >= now => since,
            _ => now,
        };
        self.away = Some((since, until));
        if now - since >= AWAY {
            self.shared
                .fail(Failure::Away("no broker of Kafka answers".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: i64) -> Polled {
        let origin = Origin {
            topic: "t".to_owned(),
            partition: 0,
            offset,
        };
        let message = Err(Undecodable {
            text: String::new(),
            reason: String::new(),
            bytes: Vec::new(),
        });
        Polled::Message(Delivery { origin, message }, 1)
    }

    #[test]
    fn what_was_fetched_before_a_partition_left_is_not_handed_out_when_it_is_back() {
        let shared = Shared::default();
        let place = || ("t".to_owned(), 0);
        let come = || shared.assigned(std::iter::once((place(), Some(5))));
        come();
        let mut polls = [5, 6, 5].into_iter();
        let fetched = gulp(&shared, || {
            let Some(offset) = polls.next() else {
                return Polled::Nothing;
            };
            // The partition goes and comes back in the third poll.
            if polls.len() == 0 {
                shared.leaving(&[place()]);
                shared.revoked(&[place()]);
                come();
            }
            message(offset)
        });
        assert_eq!(fetched, 3);
        let taken = shared.take(10).unwrap();
        let offsets: Vec<_> = taken.iter().map(|d| d.origin.offset).collect();
        assert_eq!(offsets, [5]);
        let wished = |offset| {
            let Polled::Message(delivery, _) = message(offset) else {
                unreachable!("it is one")
            };
            shared.wish(&[delivery.origin]).unwrap().len()
        };
        // What was not handed out is not committed.
        assert_eq!((wished(6), wished(5)), (0, 1));
    }
}
