//! What is stored and sent: JSON text, checked once.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Failure, Kind, Result};

/// One JSON document as text, cheap to clone.
///
/// Encoding refuses what some backend cannot keep - a NUL character, an integer outside `i64` - so that a value
/// accepted on one backend is accepted on all.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Encodes a value.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a value that JSON or some backend cannot hold; the text says which.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|e| Failure::new(Kind::Invalid, format!("this value is not JSON: {e}")))?;
        portable(&text)?;
        Ok(Self(text.into()))
    }

    /// Takes text that already is JSON, as read from a store or a socket.
    #[must_use]
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The document `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Arc::from("null"))
    }

    /// Decodes the document.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the JSON pointer of the place that does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        decode(&self.0)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The JSON text, without a copy.
impl From<Payload> for Arc<str> {
    fn from(payload: Payload) -> Self {
        payload.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue =
            serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(s)
    }
}

impl<'de> serde::Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(d)?;
        Ok(Self(Arc::from(raw.get())))
    }
}

/// Decodes JSON text; what does not fit is named by its JSON pointer (RFC 6901).
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T> {
    // Keeping the path costs as much as decoding; nearly all that comes fits.
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => locate(text),
    }
}

/// Decodes again what did not fit, with an eye on the place.
fn locate<T: DeserializeOwned>(text: &str) -> Result<T> {
    let mut de = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut de).map_err(|e| {
        let at = pointer(e.path());
        let inner = e.into_inner();
        let message = inner.to_string();
        // serde_json appends the place in the text; the pointer says it better.
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        let failure = Failure::new(Kind::Invalid, message);
        match inner.classify() {
            serde_json::error::Category::Data => failure.at(at),
            _ => Failure::new(Kind::Invalid, format!("this is not JSON: {inner}")),
        }
    })?;
    de.end()
        .map_err(|e| Failure::new(Kind::Invalid, format!("this is not JSON: {e}")))?;
    Ok(value)
}

/// The path of serde's walk as a JSON pointer.
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut at = String::new();
    for segment in path.iter() {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        at.push('/');
        at.push_str(&name);
    }
    at
}

/// Refuses JSON that not every backend can hold.
fn portable(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let (mut i, mut quoted) = (0, false);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if quoted => {
                if bytes[i..].starts_with(b"\\u0000") {
                    return Err(refuse("a NUL character (\\u0000) cannot be stored"));
                }
                i += 1;
            }
            b'"' => quoted = !quoted,
            b'-' | b'0'..=b'9' if !quoted => {
                let end = bytes[i..]
                    .iter()
                    .position(|b| !matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .map_or(bytes.len(), |n| i + n);
                let number = &text[i..end];
                let whole = !number.contains(['.', 'e', 'E']);
                if whole && number.len() > 18 && number.parse::<i64>().is_err() {
                    return Err(refuse(&format!(
                        "the integer {number} is outside the range of i64"
                    )));
                }
                i = end;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    Ok(())
}

fn refuse(why: &str) -> Error {
    Failure::new(Kind::Invalid, why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_wide_integers_are_refused_on_every_backend_alike() {
        assert!(Payload::encode("a\0b").is_err());
        assert!(Payload::encode(&u64::MAX).is_err());
        assert!(Payload::encode(&i64::MIN).is_ok());
        assert!(Payload::encode(&(i64::MAX as u64)).is_ok());
        assert!(Payload::encode("a literal \\u0000 and 99999999999999999999").is_ok());
        assert!(Payload::encode(&1e300).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_pointer() {
        let text = Payload::from_text(r#"{"a/b":[1,"x"]}"#);
        let error = text
            .decode::<std::collections::BTreeMap<String, Vec<i32>>>()
            .unwrap_err();
        assert_eq!(error.failure().unwrap().pointer(), Some("/a~1b/1"));
    }
}
