//! How a message becomes a Kafka record: CloudEvents 1.0, binary content mode.
//!
//! The value is the payload exactly as it was given, the key is the message's key, everything else is headers.
//! `docs/guide/08-messages.md` says it for other languages; a test pins it byte by byte.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use uuid::Uuid;

use super::Undecodable;
use crate::{
    message::{Headers, Kind, Message, Status},
    payload::Payload,
};

/// The version of our own headers. Whoever changes their meaning raises it and keeps reading the old ones.
const FORMAT: &str = "1";

const SPEC: &str = "ce_specversion";
const ID: &str = "ce_id";
const SOURCE: &str = "ce_source";
const TYPE: &str = "ce_type";
const SUBJECT: &str = "ce_subject";
const TIME: &str = "ce_time";
const CONTENT_TYPE: &str = "content-type";
// Extensions that others know as well.
const CORRELATION: &str = "ce_correlationid";
const CAUSATION: &str = "ce_causationid";
const TRACE: &str = "traceparent";
// Ours: in lower case without a separator, as the specification wants the names of extensions.
const OURS: &str = "ce_minosformat";
const KIND: &str = "ce_minoskind";
const VERSION: &str = "ce_minosversion";
const USER: &str = "ce_minosuser";
const REPLY_TO: &str = "ce_minosreplyto";
const SAGA: &str = "ce_minossaga";
const COMMAND: &str = "ce_minoscommand";
const STATUS: &str = "ce_minosstatus";
/// Headers of users whose names are no good names for headers of Kafka, as one JSON object.
const ODD: &str = "ce_minoscustom";
/// How many partitions the topic had for whoever published.
pub(crate) const PARTITIONS: &str = "ce_minospartitions";

/// The headers of a record.
pub(crate) type Pairs<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// The headers of a message.
pub(crate) fn headers(message: &Message) -> Result<Pairs<'_>, serde_json::Error> {
    let of = &message.headers;
    let at = message.at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let mut pairs: Pairs<'_> = vec![
        (SPEC, "1.0".into()),
        (ID, message.id.to_string().into()),
        (SOURCE, of.source.as_str().into()),
        (TYPE, message.name.as_str().into()),
        (TIME, at.into()),
        (CONTENT_TYPE, "application/json".into()),
        (OURS, FORMAT.into()),
        (KIND, message.kind.as_str().into()),
    ];
    for (name, id) in [
        (SUBJECT, of.stream),
        (CORRELATION, of.correlation),
        (CAUSATION, of.causation),
        (USER, of.user),
        (SAGA, of.saga),
        (COMMAND, of.command),
    ] {
        pairs.extend(id.map(|id| (name, id.to_string().into())));
    }
    pairs.extend(of.version.map(|v| (VERSION, v.to_string().into())));
    pairs.extend(of.status.map(|s| (STATUS, status(s).into())));
    pairs.extend(of.reply_to.as_deref().map(|t| (REPLY_TO, t.into())));
    pairs.extend(of.traceparent.as_deref().map(|t| (TRACE, t.into())));
    let (plain, odd): (BTreeMap<&str, &str>, BTreeMap<&str, &str>) = of
        .custom
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .partition(|(name, _)| is_plain(name));
    if !odd.is_empty() {
        pairs.push((ODD, serde_json::to_string(&odd)?.into()));
    }
    pairs.extend(plain.into_iter().map(|(name, value)| (name, value.into())));
    Ok(pairs)
}

/// Whether a header of a user may be one of Kafka by its own name.
fn is_plain(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !name.is_empty()
        && name.bytes().all(fits)
        && !name.starts_with("ce_")
        && ![CONTENT_TYPE, TRACE].contains(&name)
}

/// A record as it was read.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record<'a> {
    /// The topic, as services call it.
    #[serde(skip)]
    pub(crate) topic: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: Vec<(&'a str, Option<&'a [u8]>)>,
    pub(crate) value: Option<&'a [u8]>,
    /// When it was written, as Kafka knows it.
    pub(crate) at: Option<DateTime<Utc>>,
}

/// A record that was undecodable, as it was kept.
#[derive(Deserialize)]
struct Kept {
    key: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    value: Option<Vec<u8>>,
    at: Option<DateTime<Utc>>,
}

/// The message in what was kept of an [`Undecodable`] record.
pub(crate) fn decode_kept(topic: &str, bytes: &[u8]) -> Result<Message, Undecodable> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|e| Undecodable {
        text: String::from_utf8_lossy(bytes).into_owned(),
        reason: format!("it was not kept as it came: {e}"),
        bytes: bytes.to_vec(),
    })?;
    let headers = kept.headers.iter();
    let record = Record {
        topic,
        key: kept.key.as_deref(),
        headers: headers
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect(),
        value: kept.value.as_deref(),
        at: kept.at,
    };
    record.decode()
}

impl<'a> Record<'a> {
    /// The message in this record.
    pub(crate) fn decode(&self) -> Result<Message, Undecodable> {
        self.read().map_err(|reason| Undecodable {
            text: String::from_utf8_lossy(self.value.unwrap_or_default()).into_owned(),
            reason,
            // Bytes as JSON cannot fail; without them the text still shows what came.
            bytes: serde_json::to_vec(self).unwrap_or_default(),
        })
    }

    fn read(&self) -> Result<Message, String> {
        match self.text(SPEC)? {
            Some(version) if version == "1" || version.starts_with("1.") => {}
            Some(version) => {
                return Err(format!("`{SPEC}` is {version:?}, this version reads 1.0"));
            }
            None => {
                return Err(format!(
                    "it has no header `{SPEC}`: it is no CloudEvent in the binary mode of Kafka"
                ));
            }
        }
        match self.text(OURS)? {
            None | Some(FORMAT) => {}
            Some(other) => {
                return Err(format!(
                    "its format (`{OURS}`) is {other:?}, this version reads {FORMAT:?}"
                ));
            }
        }
        let source = self.needed(SOURCE)?;
        let id = self.needed(ID)?;
        let subject = self.text(SUBJECT)?;
        Ok(Message {
            // Others may name their events as they like: source and id together are unique.
            id: Uuid::try_parse(id).unwrap_or_else(|_| {
                Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{source}#{id}").as_bytes())
            }),
            kind: match self.text(KIND)? {
                Some(name) => {
                    Kind::named(name).ok_or_else(|| no(KIND, name, "a kind of message"))?
                }
                None => Kind::Event,
            },
            topic: self.topic.to_owned(),
            name: self.needed(TYPE)?.to_owned(),
            key: match self.key {
                Some(key) => utf8("the key", key)?.to_owned(),
                None => subject.unwrap_or_default().to_owned(),
            },
            at: match self.text(TIME)? {
                Some(at) => DateTime::parse_from_rfc3339(at)
                    .map_err(|_| no(TIME, at, "a time as RFC 3339 has it"))?
                    .to_utc(),
                None => self.at.unwrap_or_default(),
            },
            headers: Headers {
                source: source.to_owned(),
                correlation: self.id(CORRELATION)?,
                causation: self.id(CAUSATION)?,
                user: self.id(USER)?,
                reply_to: self.text(REPLY_TO)?.map(str::to_owned),
                saga: self.id(SAGA)?,
                command: self.id(COMMAND)?,
                status: match self.text(STATUS)? {
                    Some(name) => {
                        Some(status_of(name).ok_or_else(|| no(STATUS, name, "a status"))?)
                    }
                    None => None,
                },
                stream: subject.and_then(|s| Uuid::try_parse(s).ok()),
                version: self.parsed(VERSION, "a whole number")?,
                traceparent: self.text(TRACE)?.map(str::to_owned),
                custom: self.custom()?,
            },
            payload: self.payload()?,
        })
    }

    fn payload(&self) -> Result<Payload, String> {
        let media = self.text(CONTENT_TYPE)?.unwrap_or("application/json");
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") && !media.ends_with("+json") {
            return Err(no(CONTENT_TYPE, media, "JSON"));
        }
        let value = self.value.ok_or("it has no value; write at least `null`")?;
        let text = utf8("the value", value)?;
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|e| format!("the value is not JSON: {e}"))?;
        Ok(Payload::from_text(text))
    }

    fn custom(&self) -> Result<BTreeMap<String, String>, String> {
        let mut custom = match self.text(ODD)? {
            Some(odd) => {
                serde_json::from_str(odd).map_err(|_| no(ODD, odd, "a JSON object of texts"))?
            }
            None => BTreeMap::new(),
        };
        // Headers of others that are no text say nothing to a handler.
        let text = |value: Option<&'a [u8]>| std::str::from_utf8(value?).ok();
        for (name, value) in self.headers.iter().filter(|(name, _)| is_plain(name)) {
            if let Some(value) = text(*value) {
                custom.insert((*name).to_owned(), value.to_owned());
            }
        }
        Ok(custom)
    }

    /// The bytes of a header; of several with one name the last.
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.headers.iter().rfind(|(n, _)| *n == name);
        found.and_then(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        self.header(name).map(|value| utf8(name, value)).transpose()
    }

    fn needed(&self, name: &str) -> Result<&'a str, String> {
        self.text(name)?
            .ok_or_else(|| format!("it has no header `{name}`"))
    }

    fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, String> {
        let parse = |text: &str| text.parse().map_err(|_| no(name, text, what));
        self.text(name)?.map(parse).transpose()
    }

    fn id(&self, name: &str) -> Result<Option<Uuid>, String> {
        self.parsed(name, "a UUID")
    }
}

/// How many partitions the topic had for whoever wrote a record with these headers.
pub(crate) fn partitions<'a>(
    mut headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> Option<u32> {
    let (_, value) = headers.find(|(name, _)| *name == PARTITIONS)?;
    std::str::from_utf8(value?).ok()?.parse().ok()
}

fn no(name: &str, found: &str, wanted: &str) -> String {
    format!("`{name}` is {found:?}, which is not {wanted}")
}

fn utf8<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, String> {
    std::str::from_utf8(bytes).map_err(|e| format!("`{name}` is not UTF-8: {e}"))
}

const STATUSES: [Status; 4] = [
    Status::Done,
    Status::Refused,
    Status::Failed,
    Status::Voided,
];

fn status(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Refused => "refused",
        Status::Failed => "failed",
        Status::Voided => "voided",
    }
}

fn status_of(name: &str) -> Option<Status> {
    STATUSES.into_iter().find(|s| status(*s) == name)
}
