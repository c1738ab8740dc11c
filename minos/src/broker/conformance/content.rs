//! What is in a message comes out of it.

use super::*;
use crate::{broker::Error, message::Status};

/// Headers, names, keys and payloads survive byte by byte.
pub async fn contents_survive_exactly(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let odd = "\u{e9} \u{4f60}\u{597d} \u{1f980}\u{200d} \" \\ ' \t\r\n \u{7f} {\"a\":1}";
    let headers = Headers {
        source: odd.to_owned(),
        correlation: Some(Uuid::now_v7()),
        causation: Some(Uuid::max()),
        user: Some(Uuid::nil()),
        reply_to: Some("shop.replies".to_owned()),
        saga: Some(Uuid::now_v7()),
        command: Some(Uuid::now_v7()),
        status: Some(Status::Refused),
        stream: Some(Uuid::now_v7()),
        version: Some(u64::MAX),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        custom: [
            (odd.to_owned(), odd.to_owned()),
            (String::new(), String::new()),
        ]
        .into(),
    };
    let payloads = [
        "null",
        "0.10",
        "1e-7",
        "-9223372036854775808",
        "\"\\u00e9\\ud83e\\udd80\\n\"",
        "\"\u{e9}\u{1f980}\"",
        "{ \"b\" : 1,\n\t\"a\" : [ ] }",
        "{\"a\":1,\"a\":2}",
    ];
    let kinds = [
        Kind::Event,
        Kind::Command,
        Kind::Query,
        Kind::Reply,
        Kind::Void,
        Kind::Signal,
    ];
    let mut sent = Vec::new();
    for (i, payload) in payloads.into_iter().enumerate() {
        sent.push(Message {
            name: odd.to_owned(),
            kind: kinds[i % kinds.len()],
            headers: if i == 0 {
                Headers::default()
            } else {
                headers.clone()
            },
            payload: Payload::from_text(payload),
            ..numbered(&topic, odd, 0)
        });
    }
    // A key may be empty.
    sent.push(numbered(&topic, "", 7));
    publish(&*broker, &sent).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let got = take(&mut *member, sent.len()).await;
    for sent in &sent {
        let same = got.iter().map(message).find(|got| got.id == sent.id);
        assert_eq!(same, Some(sent));
    }
}

/// A message just below the limit survives.
pub async fn a_large_message_survives(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let text = "\u{1f980}".repeat(fixture.limit() / 4 - 1024);
    let mut large = numbered(&topic, "a", 0);
    large.payload = Payload::encode(&text).expect("a text is JSON");
    let small = numbered(&topic, "a", 1);
    publish(&*broker, &[large.clone(), small.clone()]).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    let got = take(&mut *member, 2).await;
    assert!(*message(&got[0]) == large, "the large message differs");
    assert_eq!(*message(&got[1]), small);
}

/// A message above the limit is refused, and nothing else suffers.
pub async fn a_too_large_message_is_refused(fixture: impl Fixture) {
    let broker = fixture.broker();
    let topic = new_topic(&*broker).await;
    let mut large = numbered(&topic, "a", 0);
    large.payload = Payload::encode(&"x".repeat(fixture.limit())).expect("a text is JSON");
    let refused = within("an answer", broker.publish(&[large])).await;
    let Err(Error::TooLarge { size, limit }) = refused else {
        panic!("it must be too large: {refused:?}");
    };
    assert!(size > limit, "{size} is not above {limit}");
    publish(&*broker, &[numbered(&topic, "a", 1)]).await;
    let mut member = join(&*broker, &unique("group"), &topic).await;
    assert_eq!(numbers(&take(&mut *member, 1).await), [1]);
}

/// Bytes that are no message are delivered as such and do not stop their partition.
pub async fn undecodable_bytes_do_not_block(fixture: impl Fixture) {
    let broker = fixture.broker();
    let (topic, group) = (new_topic(&*broker).await, unique("group"));
    publish(&*broker, &[numbered(&topic, "a", 1)]).await;
    fixture.inject(&topic, "a", b"this is no message").await;
    fixture.inject(&topic, "a", b"\xff\xfe\x00").await;
    publish(&*broker, &[numbered(&topic, "a", 2)]).await;
    let mut member = join(&*broker, &group, &topic).await;
    let got = take(&mut *member, 4).await;
    assert_eq!((number(&got[0]), number(&got[3])), (1, 2));
    for (bad, text) in [(&got[1], "this is no message"), (&got[2], "")] {
        let bad = bad
            .message
            .as_ref()
            .expect_err("these bytes are no message");
        assert!(!bad.reason.is_empty(), "it must say what is wrong");
        assert!(bad.text.contains(text), "{:?}", bad.text);
    }
    // They have an offset and can be left behind like any other.
    commit(&mut *member, &got[..3]).await;
    drop(member);
    let mut member = join(&*broker, &group, &topic).await;
    assert_eq!(numbers(&take(&mut *member, 1).await), [2]);
}
