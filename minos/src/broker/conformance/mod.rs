//! What every broker does, as tests: a backend is done when this suite is green.
//!
//! ```
//! # use std::sync::Arc;
//! # use minos::broker::{Broker, conformance::{self, Fixture}, memory};
//! struct Memory(memory::Broker);
//!
//! #[async_trait::async_trait]
//! impl Fixture for Memory {
//!     fn broker(&self) -> Arc<dyn Broker> {
//!         Arc::new(self.0.clone())
//!     }
//!     # fn limit(&self) -> usize { 1 }
//!     # async fn inject(&self, _: &str, _: &str, _: &[u8]) {}
//!     // ..
//! }
//!
//! conformance::suite!(memory_conforms, Memory(memory::Broker::new()));
//! ```

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a property that does not hold panics: this is test code that other crates may run"
)]

mod content;
mod group;
mod log;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::{content::*, group::*, log::*};
use super::{Broker, Delivery, Origin, Subscription};
use crate::{
    clock::{Clock, SystemClock},
    message::{Headers, Kind, Message},
    payload::Payload,
};

/// One broker under test. Every property makes its own, so its topics and groups are new.
#[async_trait]
pub trait Fixture: Send {
    /// The broker, with at least 2 partitions per topic.
    fn broker(&self) -> Arc<dyn Broker>;

    /// The largest message the broker takes, in bytes.
    fn limit(&self) -> usize;

    /// Puts bytes that are no message into the partition of `key`.
    async fn inject(&self, topic: &str, key: &str, bytes: &[u8]);

    /// Closes the broker and opens what it stored again; `false` from one that stores nothing.
    async fn reopen(&mut self) -> bool {
        false
    }
}

/// How long a property waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("waited {PATIENCE:?} for this: {what}");
    };
    done
}

/// A name that no other property uses: some backends share one server.
fn unique(name: &str) -> String {
    format!("{name}-{}", Uuid::now_v7().simple())
}

async fn new_topic(broker: &dyn Broker) -> String {
    let topic = unique("Foo");
    let made = broker.ensure_topics(std::slice::from_ref(&topic)).await;
    made.expect("a topic can be created");
    topic
}

async fn join(broker: &dyn Broker, group: &str, topic: &str) -> Box<dyn Subscription> {
    let topics = [topic.to_owned()];
    let joined = within("a subscription", broker.subscribe(group, &topics)).await;
    joined.expect("a group can be joined")
}

/// An event whose payload is `n`.
fn numbered(topic: &str, key: &str, n: u64) -> Message {
    Message {
        id: Uuid::now_v7(),
        kind: Kind::Event,
        topic: topic.to_owned(),
        name: "FooCreated".to_owned(),
        key: key.to_owned(),
        at: SystemClock.now(),
        headers: Headers::default(),
        payload: Payload::encode(&n).expect("a number is JSON"),
    }
}

fn range(topic: &str, key: &str, numbers: std::ops::Range<u64>) -> Vec<Message> {
    numbers.map(|n| numbered(topic, key, n)).collect()
}

async fn publish(broker: &dyn Broker, messages: &[Message]) {
    within("a publication", broker.publish(messages))
        .await
        .expect("messages can be published");
}

/// At least `count` deliveries.
async fn take(member: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = within("the next messages", member.next(64)).await;
        let next = next.expect("a member can read");
        assert!(!next.is_empty(), "`next` answered without a message");
        taken.extend(next);
    }
    taken
}

async fn commit(member: &mut dyn Subscription, done: &[Delivery]) {
    let done: Vec<Origin> = done.iter().map(|d| d.origin.clone()).collect();
    within("a commit", member.commit(&done))
        .await
        .expect("offsets can be committed");
}

fn message(delivery: &Delivery) -> &Message {
    delivery
        .message
        .as_ref()
        .expect("what was published can be read")
}

fn number(delivery: &Delivery) -> u64 {
    let payload = &message(delivery).payload;
    payload.decode().expect("the payload is a number")
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(number).collect()
}

/// Hands all properties to another macro: `then!([given] property ..)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __broker_properties {
    ([$($then:tt)*], [$($given:tt)*]) => {
        $($then)*! {
            [$($given)*]
            messages_of_one_key_come_in_order
            one_key_stays_in_one_partition
            a_batch_keeps_its_order
            next_answers_at_most_what_was_asked_for
            next_continues_after_what_it_delivered
            a_waiting_next_is_woken
            a_dropped_next_loses_nothing
            concurrent_publishers_lose_nothing
            one_publication_may_have_several_topics
            an_empty_publication_is_done
            a_missing_topic_is_an_error
            topics_are_created_once
            reopening_keeps_the_log
            a_closed_broker_refuses
            contents_survive_exactly
            a_large_message_survives
            a_too_large_message_is_refused
            undecodable_bytes_do_not_block
            every_group_gets_everything
            a_new_group_starts_at_the_beginning
            members_share_without_overlap
            a_member_that_leaves_hands_over
            what_is_not_committed_comes_again
            what_is_committed_does_not_come_again
            a_lower_commit_does_not_move_back
            a_commit_above_the_delivered_skips_nothing
            partitions_are_committed_alone
            reopening_keeps_the_offsets
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __broker_property_names {
    ([] $($property:ident)*) => {
        &[$(stringify!($property)),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __broker_property_tests {
    ([$name:ident, $fixture:expr] $($property:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    $crate::broker::conformance::$property($fixture).await;
                }
            )*
        }
    };
}

/// Emits a module of tests, one per property: `suite!(name, fixture)`.
///
/// The fixture is an expression, made anew for each property, and may `.await`.
#[doc(hidden)]
#[macro_export]
macro_rules! __broker_suite {
    ($name:ident, $fixture:expr $(,)?) => {
        $crate::__broker_properties!([$crate::__broker_property_tests], [$name, $fixture]);
    };
}

#[doc(inline)]
pub use crate::__broker_suite as suite;

/// The name of every property.
pub const PROPERTIES: &[&str] = crate::__broker_properties!([crate::__broker_property_names], []);
