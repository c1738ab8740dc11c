use super::*;

fn message() -> Message {
    Message {
        id: Uuid::from_u128(7),
        kind: Kind::Event,
        topic: "Foo".into(),
        name: "FooCreated".into(),
        key: "00000000-0000-0000-0000-000000000003".into(),
        at: DateTime::from_timestamp_nanos(1_700_000_000_123_456_789),
        headers: Headers {
            source: "foo".into(),
            correlation: Some(Uuid::from_u128(1)),
            causation: Some(Uuid::from_u128(2)),
            user: Some(Uuid::from_u128(4)),
            stream: Some(Uuid::from_u128(3)),
            version: Some(12),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            custom: [
                ("tenant".into(), "\u{e4}cme".into()),
                ("a b".into(), "\"1\"".into()),
            ]
            .into(),
            ..Headers::default()
        },
        payload: Payload::from_text("  {\"bar\" : 1.50}\n"),
    }
}

/// Reads a message as it comes back from Kafka.
fn back(message: &Message) -> Result<Message, Undecodable> {
    let pairs = headers(message).unwrap();
    let headers = pairs
        .iter()
        .map(|(name, value)| (*name, Some(value.as_bytes())));
    Record {
        topic: &message.topic,
        key: Some(message.key.as_bytes()),
        headers: headers.collect(),
        value: Some(message.payload.as_str().as_bytes()),
        at: None,
    }
    .decode()
}

/// Other services, of other versions and in other languages, read and write this: if this test fails, they break.
#[test]
fn the_layout_stays_as_the_guide_says() {
    let event = message();
    let lines: Vec<String> = headers(&event)
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(
        lines,
        [
            "ce_specversion: 1.0",
            "ce_id: 00000000-0000-0000-0000-000000000007",
            "ce_source: foo",
            "ce_type: FooCreated",
            "ce_time: 2023-11-14T22:13:20.123456789Z",
            "content-type: application/json",
            "ce_minosformat: 1",
            "ce_minoskind: event",
            "ce_subject: 00000000-0000-0000-0000-000000000003",
            "ce_correlationid: 00000000-0000-0000-0000-000000000001",
            "ce_causationid: 00000000-0000-0000-0000-000000000002",
            "ce_minosuser: 00000000-0000-0000-0000-000000000004",
            "ce_minosversion: 12",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ce_minoscustom: {\"a b\":\"\\\"1\\\"\"}",
            "tenant: \u{e4}cme",
        ]
    );
    let command = Message {
        kind: Kind::Reply,
        headers: Headers {
            source: "foo".into(),
            reply_to: Some("foo.replies".into()),
            saga: Some(Uuid::from_u128(5)),
            command: Some(Uuid::from_u128(6)),
            status: Some(Status::Done),
            ..Headers::default()
        },
        ..message()
    };
    let lines: Vec<String> = headers(&command)
        .unwrap()
        .iter()
        .skip(7)
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(
        lines,
        [
            "ce_minoskind: reply",
            "ce_minossaga: 00000000-0000-0000-0000-000000000005",
            "ce_minoscommand: 00000000-0000-0000-0000-000000000006",
            "ce_minosstatus: done",
            "ce_minosreplyto: foo.replies",
        ]
    );
}

#[test]
fn a_message_survives_exactly() {
    assert_eq!(back(&message()), Ok(message()));
    let kinds = Kind::ALL.map(|kind| Message { kind, ..message() });
    for message in kinds {
        assert_eq!(back(&message), Ok(message));
    }
    for status in STATUSES {
        let mut message = message();
        message.headers.status = Some(status);
        assert_eq!(back(&message), Ok(message));
    }
}

/// What another language has to write at least.
#[test]
fn an_event_of_others_is_an_event() {
    let mut record = Record {
        topic: "Foo",
        headers: vec![
            ("ce_specversion", Some(b"1.0")),
            ("ce_id", Some(b"order-17")),
            ("ce_source", Some(b"/shop")),
            ("ce_type", Some(b"com.example.ordered")),
            ("ce_subject", Some(b"17")),
            ("x-binary", Some(b"\xff")),
        ],
        value: Some(b"{}"),
        at: DateTime::from_timestamp_millis(5),
        ..Record::default()
    };
    let event = record.decode().unwrap();
    assert_eq!(
        (event.kind, &*event.name),
        (Kind::Event, "com.example.ordered")
    );
    assert_eq!((&*event.key, event.headers.stream), ("17", None));
    assert_eq!(event.at.timestamp_millis(), 5);
    assert!(event.headers.custom.is_empty());
    // The same source and id are the same event.
    assert_eq!(record.decode().unwrap().id, event.id);
    record.headers[2].1 = Some(b"/other");
    assert_ne!(record.decode().unwrap().id, event.id);

    record.headers.push(("ce_minoskind", Some(b"command")));
    record
        .headers
        .push(("ce_minosreplyto", Some(b"java.replies")));
    record.headers.push((
        "content-type",
        Some(b"application/vnd.x+json; charset=utf-8"),
    ));
    record.key = Some(b"k");
    let command = record.decode().unwrap();
    assert_eq!((command.kind, &*command.key), (Kind::Command, "k"));
    assert_eq!(command.headers.reply_to.as_deref(), Some("java.replies"));
}

#[test]
fn what_is_no_message_says_why_and_keeps_its_text() {
    let no: Option<&[u8]> = None;
    for (name, value, reason) in [
        ("ce_specversion", no, "no header `ce_specversion`"),
        ("ce_specversion", Some(b"2.0"), "is \"2.0\""),
        (
            "ce_minosformat",
            Some(b"9"),
            "its format (`ce_minosformat`) is \"9\"",
        ),
        ("ce_minoskind", Some(b"wish"), "not a kind of message"),
        ("ce_id", no, "no header `ce_id`"),
        ("ce_source", no, "no header `ce_source`"),
        ("ce_type", Some(b"\xff"), "not UTF-8"),
        ("ce_time", Some(b"today"), "RFC 3339"),
        ("ce_minosuser", Some(b"joe"), "not a UUID"),
        ("ce_minosversion", Some(b"-1"), "not a whole number"),
        ("ce_minosstatus", Some(b"well"), "not a status"),
        ("content-type", Some(b"application/avro"), "not JSON"),
        ("ce_minoscustom", Some(b"[]"), "not a JSON object"),
    ] {
        let message = message();
        let pairs = headers(&message).unwrap();
        let mut record = Record {
            topic: "Foo",
            key: None,
            headers: pairs
                .iter()
                .map(|(n, v)| (*n, Some(v.as_bytes())))
                .collect(),
            value: Some(b"[1]"),
            at: None,
        };
        record.headers.retain(|(n, _)| *n != name);
        record.headers.push((name, value));
        let e = record.decode().unwrap_err();
        assert!(e.reason.contains(reason), "{name}: {e:?}");
        assert_eq!(e.text, "[1]");
    }
    for (value, reason) in [
        (no, "no value"),
        (Some(b""), "not JSON"),
        (Some(b"{\"a\":"), "not JSON"),
        (Some(b"\xff"), "not UTF-8"),
    ] {
        let message = message();
        let pairs = headers(&message).unwrap();
        let record = Record {
            headers: pairs
                .iter()
                .map(|(n, v)| (*n, Some(v.as_bytes())))
                .collect(),
            value,
            ..Record::default()
        };
        let e = record.decode().unwrap_err();
        assert!(e.reason.contains(reason), "{e:?}");
        // What was kept of it is the same record.
        assert_eq!(decode_kept(record.topic, &e.bytes), Err(e));
    }
}

#[test]
fn the_number_of_partitions_is_read_alone() {
    let pairs = [("a", Some(&b"1"[..])), (PARTITIONS, Some(b"12"))];
    assert_eq!(partitions(pairs.into_iter()), Some(12));
    assert_eq!(partitions(pairs.into_iter().take(1)), None);
    assert_eq!(
        partitions([(PARTITIONS, Some(&b"x"[..]))].into_iter()),
        None
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(
        pairs: Vec<(String, Option<Vec<u8>>)>,
        name in "(ce_|content-|trace)[a-z]{0,16}",
        odd: Vec<u8>,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) {
        let mut headers: Vec<(&str, Option<&[u8]>)> =
            pairs.iter().map(|(n, v)| (&**n, v.as_deref())).collect();
        headers.push((SPEC, Some(b"1.0")));
        headers.push((&name, Some(&odd)));
        let record = Record { headers, key: key.as_deref(), value: value.as_deref(), ..Record::default() };
        let _ = record.decode();
    }

    #[test]
    fn any_text_survives(
        name: String,
        key: String,
        source: String,
        custom: std::collections::BTreeMap<String, String>,
        plain in "[a-z_.-]{1,12}",
        content: String,
        nanos in 0..4_000_000_000_000_000_000_i64,
        numbers: (Option<u64>, Option<u128>),
    ) {
        let mut sent = message();
        sent.payload = Payload::from_text(serde_json::to_string(&content).unwrap());
        sent.headers.reply_to = Some(name.clone());
        sent.headers.custom = custom;
        sent.headers.custom.insert(plain, content);
        sent.headers.source = source;
        sent.headers.version = numbers.0;
        sent.headers.user = numbers.1.map(Uuid::from_u128);
        sent.at = DateTime::from_timestamp_nanos(nanos);
        (sent.name, sent.key) = (name, key);
        proptest::prop_assert_eq!(back(&sent), Ok(sent));
    }
}
