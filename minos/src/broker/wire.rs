//! How a message becomes bytes: an envelope of JSON, and the payload exactly as it was given.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use uuid::Uuid;

use super::Undecodable;
use crate::{
    message::{Headers, Kind, Message},
    payload::Payload,
};

/// The version of the bytes below. Whoever changes them raises it and keeps reading the old ones.
pub(crate) const FORMAT: i64 = 1;

/// All of a message but its topic, which the log knows, and its payload, which stands beside it.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    id: Uuid,
    kind: Kind,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    at: DateTime<Utc>,
    headers: Cow<'a, Headers>,
}

/// Appends envelope and payload to `out`; answers their sizes.
pub(crate) fn append(
    message: &Message,
    out: &mut Vec<u8>,
) -> Result<(usize, usize), serde_json::Error> {
    let start = out.len();
    let envelope = Envelope {
        id: message.id,
        kind: message.kind,
        name: Cow::Borrowed(&message.name),
        key: Cow::Borrowed(&message.key),
        at: message.at,
        headers: Cow::Borrowed(&message.headers),
    };
    serde_json::to_writer(&mut *out, &envelope)?;
    let envelope = out.len() - start;
    let payload = message.payload.as_str().as_bytes();
    out.extend_from_slice(payload);
    Ok((envelope, payload.len()))
}

/// The message in these bytes.
pub(crate) fn decode(
    topic: &str,
    format: i64,
    envelope: &[u8],
    payload: &[u8],
) -> Result<Message, Undecodable> {
    let refuse = |reason: String| Undecodable {
        text: text(envelope, payload),
        reason,
        bytes: raw(format, envelope, payload),
    };
    if format != FORMAT {
        return Err(refuse(format!(
            "its format is {format}, this version reads {FORMAT}"
        )));
    }
    let head: Envelope<'_> = serde_json::from_slice(envelope)
        .map_err(|e| refuse(format!("the envelope cannot be read: {e}")))?;
    let body = std::str::from_utf8(payload)
        .map_err(|e| refuse(format!("the payload is not UTF-8: {e}")))?;
    serde_json::from_str::<IgnoredAny>(body)
        .map_err(|e| refuse(format!("the payload is not JSON: {e}")))?;
    Ok(Message {
        id: head.id,
        kind: head.kind,
        topic: topic.to_owned(),
        name: head.name.into_owned(),
        key: head.key.into_owned(),
        at: head.at,
        headers: head.headers.into_owned(),
        payload: Payload::from_text(body),
    })
}

/// All three in one: format and size of the envelope before the rest.
fn raw(format: i64, envelope: &[u8], payload: &[u8]) -> Vec<u8> {
    let size = u64::try_from(envelope.len()).unwrap_or(u64::MAX);
    let head = [format.to_le_bytes(), size.to_le_bytes()].concat();
    [&head, envelope, payload].concat()
}

/// The message in what [`raw`] put together.
pub(crate) fn decode_raw(topic: &str, raw: &[u8]) -> Result<Message, Undecodable> {
    let parts = || {
        let (format, rest) = raw.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let size = usize::try_from(u64::from_le_bytes(*size)).ok()?;
        let (envelope, payload) = rest.split_at_checked(size)?;
        Some((i64::from_le_bytes(*format), envelope, payload))
    };
    match parts() {
        Some((format, envelope, payload)) => decode(topic, format, envelope, payload),
        None => Err(Undecodable {
            text: String::from_utf8_lossy(raw).into_owned(),
            reason: "they were not kept as they came".to_owned(),
            bytes: raw.to_vec(),
        }),
    }
}

/// Bytes for a human: what is not text is replaced.
fn text(envelope: &[u8], payload: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(envelope).into_owned();
    if !payload.is_empty() {
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(payload));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            id: Uuid::from_u128(7),
            kind: Kind::Event,
            topic: "Foo".into(),
            name: "FooCreated".into(),
            key: "a \"quoted\" \\ key\nof \u{1f980} and \0".into(),
            at: DateTime::from_timestamp_nanos(1_700_000_000_123_456_789),
            headers: Headers {
                source: "foo".into(),
                version: Some(u64::MAX),
                custom: [("\u{e4}".into(), "\0\u{7f}".into())].into(),
                ..Headers::default()
            },
            payload: Payload::from_text("  {\"a\" : 1.50}\n"),
        }
    }

    #[test]
    fn a_message_survives_exactly() {
        let mut bytes = b"before".to_vec();
        let (envelope, payload) = append(&message(), &mut bytes).unwrap();
        let (envelope, rest) = bytes[6..].split_at(envelope);
        assert_eq!(rest.len(), payload);
        assert_eq!(decode("Foo", FORMAT, envelope, rest), Ok(message()));
    }

    #[test]
    fn what_was_kept_of_undecodable_bytes_is_read_when_the_format_is_known() {
        let mut bytes = Vec::new();
        let (head, _) = append(&message(), &mut bytes).unwrap();
        let (envelope, payload) = bytes.split_at(head);
        let kept = raw(FORMAT, envelope, payload);
        assert_eq!(decode_raw("Foo", &kept), Ok(message()));
        for broken in [&kept[..3], &kept[..12], &[255; 16], b""] {
            let e = decode_raw("Foo", broken).unwrap_err();
            assert!(!e.reason.is_empty());
        }
    }

    /// Stored rows look like this: if this test fails, old logs cannot be read any more.
    #[test]
    fn the_first_format_stays_readable() {
        let envelope = br#"{"id":"00000000-0000-0000-0000-000000000007","kind":"event","name":"N","key":"k","at":"2024-01-02T03:04:05.000006Z","headers":{"source":"foo"},"later":1}"#;
        let message = decode("Foo", 1, envelope, b"[1]").unwrap();
        assert_eq!((message.id, message.key), (Uuid::from_u128(7), "k".into()));
        assert_eq!(message.payload.as_str(), "[1]");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(envelope: Vec<u8>, payload: Vec<u8>) {
            let _ = decode("Foo", FORMAT, &envelope, &payload);
            let _ = decode_raw("Foo", &payload);
        }

        #[test]
        fn any_text_survives(name: String, key: String, header: String, content: String) {
            let mut sent = message();
            sent.payload = Payload::from_text(serde_json::to_string(&content).unwrap());
            sent.headers.custom = [(header.clone(), header)].into();
            (sent.name, sent.key) = (name, key);
            let mut bytes = Vec::new();
            let (head, _) = append(&sent, &mut bytes).unwrap();
            let (envelope, payload) = bytes.split_at(head);
            proptest::prop_assert_eq!(decode("Foo", FORMAT, envelope, payload), Ok(sent));
        }
    }

    #[test]
    fn what_is_no_message_says_why_and_keeps_its_text() {
        let mut bytes = Vec::new();
        let (head, _) = append(&message(), &mut bytes).unwrap();
        let (good, _) = bytes.split_at(head);
        for (format, envelope, payload, reason) in [
            (9, good, &b"1"[..], "its format is 9"),
            (FORMAT, &b"no"[..], b"", "the envelope"),
            (FORMAT, good, b"\xff", "not UTF-8"),
            (FORMAT, good, b"{\"a\":", "not JSON"),
            (FORMAT, good, b"", "not JSON"),
        ] {
            let e = decode("Foo", format, envelope, payload).unwrap_err();
            assert!(e.reason.contains(reason), "{e:?}");
            assert_eq!(decode_raw("Foo", &e.bytes), Err(e.clone()));
            assert!(
                e.text
                    .starts_with(String::from_utf8_lossy(envelope).as_ref())
            );
        }
    }
}
