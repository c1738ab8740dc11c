//! Topics: their names, their limits, and a number of partitions that must not change.

use std::error::Error as _;

use rdkafka::admin::{NewPartitions, NewTopic, TopicReplication};

use super::*;
use crate::broker::Error;

/// Gives a topic more partitions, as an operator may.
async fn grow(options: &Options, topic: &str, count: usize) {
    let name = options.name(topic);
    let more = [NewPartitions::new(&name, count)];
    let grown = admin(options).create_partitions(&more, &patiently()).await;
    grown.unwrap()[0].as_ref().unwrap();
}

fn reason(refused: Result<(), Error>) -> String {
    match refused {
        Err(Error::Backend(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grew_is_refused_by_who_knew_it_and_by_who_starts() {
    let mut options = options();
    options.fresh = Duration::ZERO;
    let broker = with_topic(&options, "Foo").await;
    broker.publish(&range("Foo", "a", 0..3)).await.unwrap();
    grow(&options, "Foo", 6).await;
    let starts = open(&options).await;
    let refused = async {
        loop {
            // The cluster may take a moment to tell.
            if let Err(e) = broker.publish(&range("Foo", "a", 3..4)).await {
                break reason(Err(e));
            }
        }
    };
    for text in [
        within("a refusal", refused).await,
        reason(starts.publish(&range("Foo", "a", 3..4)).await),
    ] {
        assert!(
            text.contains("has 6 partitions, its messages were published to 4"),
            "{text}"
        );
    }
    // What is there can still be read.
    let mut member = join(&starts, "group", "Foo").await;
    assert!(take(&mut *member, 3).await.len() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_without_messages_has_no_order_to_break() {
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    grow(&options, "Foo", 6).await;
    let publish = async { while broker.publish(&range("Foo", "a", 0..1)).await.is_err() {} };
    within("a publication", publish).await;
    open(&options)
        .await
        .publish(&range("Foo", "a", 1..2))
        .await
        .unwrap();
}

/// Records of others do not say how many partitions they counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_others_say_nothing_about_partitions() {
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    write(&options, "Foo", "a", b"{}").await;
    broker.publish(&range("Foo", "a", 0..1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_may_take_less_than_others() {
    let options = options();
    let broker = open(&options).await;
    let name = options.name("Small");
    let small =
        NewTopic::new(&name, 4, TopicReplication::Fixed(1)).set("max.message.bytes", "2000");
    let made = admin(&options).create_topics([&small], &patiently()).await;
    made.unwrap()[0].as_ref().unwrap();
    let mut large = message("Small", "a", 0);
    large.payload = Payload::encode(&"x".repeat(3000)).unwrap();
    let publish = async {
        loop {
            // It may take a moment until everybody knows the new topic.
            match broker.publish(std::slice::from_ref(&large)).await {
                Err(Error::NoTopic(_) | Error::Unavailable(_)) => {}
                other => break other,
            }
        }
    };
    let Err(Error::TooLarge { size, limit }) = within("an answer", publish).await else {
        panic!("it must be too large");
    };
    assert!(size > 3000 && limit < 2000, "{size} {limit}");
    broker.publish(&range("Small", "a", 0..1)).await.unwrap();
}

/// The limit of the topic shrank after this process looked at it: the cluster refuses, with whatever is beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_the_cluster_refuses_fails_its_batch_and_no_other() {
    use rdkafka::admin::{AlterConfig, ResourceSpecifier};
    let options = options();
    let broker = with_topic(&options, "Foo").await;
    broker.publish(&range("Foo", "a", 0..1)).await.unwrap();
    let name = options.name("Foo");
    let less = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("max.message.bytes", "2000");
    let altered = admin(&options).alter_configs([&less], &patiently()).await;
    altered.unwrap()[0].as_ref().unwrap();
    let mut batch = range("Foo", "a", 1..4);
    // Compressed it is still too large.
    let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::new_v4()).collect();
    batch[1].payload = Payload::encode(&ids).unwrap();
    let publish = async {
        loop {
            // The old limit may hold for a moment.
            if let Err(e) = broker.publish(&batch).await {
                break e;
            }
        }
    };
    let e = within("a refusal", publish).await;
    assert!(matches!(e, Error::TooLarge { .. }), "{e:?}");
    broker.publish(&range("Foo", "a", 9..10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_kafka_does_not_take_is_refused_in_words() {
    let broker = open(&options()).await;
    for name in ["Gr\u{f6}\u{df}e", "a b", "a/b", &"x".repeat(250)] {
        let text = reason(broker.ensure_topics(&[name.to_owned()]).await);
        assert!(text.contains("is no name of a topic in Kafka"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_the_cluster_cannot_keep_are_an_error_in_words() {
    let broker = open(&options().replication(Some(99))).await;
    let e = broker.ensure_topics(&["Foo".to_owned()]).await.unwrap_err();
    let text = e.source().unwrap().to_string();
    assert!(text.contains("`broker.replication`"), "{text}");
}
