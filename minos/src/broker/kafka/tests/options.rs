//! What can be chosen, without a Kafka.

use std::error::Error as _;

use super::*;

async fn refused(options: Options) -> String {
    let e = Broker::open(options).await.unwrap_err();
    e.source().unwrap().to_string()
}

#[tokio::test]
async fn what_safety_hangs_on_is_refused_with_the_reason() {
    for name in [
        "acks",
        "enable.idempotence",
        "enable.auto.commit",
        "group.id",
    ] {
        let text = refused(Options::new("localhost:1").property(name, "x")).await;
        assert!(
            text.contains(&format!("`{name}` cannot be set: ")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_wrong_property_is_named_without_its_value() {
    let text = refused(Options::new("localhost:1").property("no.such", "s3cret")).await;
    assert!(
        text.contains("`no.such`") && !text.contains("s3cret"),
        "{text}"
    );
    let text = refused(Options::new("localhost:1").property("security.protocol", "s3cret")).await;
    assert!(
        text.contains("`security.protocol`") && !text.contains("s3cret"),
        "{text}"
    );
    let text = refused(Options::new("localhost:1").partitions(0)).await;
    assert!(text.contains("partitions is 0"), "{text}");
}

#[tokio::test]
async fn no_value_is_ever_shown() {
    let options = Options::new("localhost:1")
        .property("client.id", "s3cret")
        .property("sasl.password", "s3cret");
    let broker = Broker::open(options).await.unwrap();
    assert!(!format!("{broker:?}").contains("s3cret"));
}

#[test]
fn the_limit_is_the_property_of_librdkafka() {
    assert_eq!(Options::new("x").limit(), 1_000_000);
    let options = Options::new("x").property("message.max.bytes", "5000000");
    assert_eq!(options.limit(), 5_000_000);
}
