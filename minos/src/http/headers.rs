//! What is read from the headers of a request, and what is not.

use std::collections::BTreeMap;

use actix_web::http::header::{HeaderMap, HeaderName};
use uuid::Uuid;

use crate::error::{Failure, Kind, Result};

/// Names that say who asks or what a request belongs to. From outside they are not believed: whoever wants to be
/// somebody else would only have to say so.
const IDENTITY: &[&str] = &["user", "saga", "transactions", "relatedservices"];

/// The header whose value makes a repetition known.
const KEY: &str = "idempotency-key";

/// The longest key.
const KEY_LIMIT: usize = 255;

/// The headers a handler may see: names in lower case, several values joined, none that claims an identity.
pub(super) fn visible(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut visible: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !is_identity(name)) {
        // What is no text is nothing a handler could read.
        let Ok(value) = value.to_str() else {
            continue;
        };
        match visible.get_mut(name.as_str()) {
            Some(values) => {
                values.push_str(if name == "cookie" { "; " } else { ", " });
                values.push_str(value);
            }
            None => {
                visible.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
    }
    visible
}

/// Whether a name claims an identity, however it is spelled: `User`, `X-User`, `related-services`, ..
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    let name = name.strip_prefix("x-").unwrap_or(name);
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    IDENTITY.contains(&plain.as_str())
}

/// The user that a trusted gateway names in `user`.
///
/// # Errors
/// [`Kind::Invalid`] unless it is exactly one UUID.
pub(super) fn user(headers: &HeaderMap) -> Result<Option<Uuid>> {
    let Some(value) = only(headers, "user")? else {
        return Ok(None);
    };
    match Uuid::try_parse(value) {
        Ok(user) => Ok(Some(user)),
        Err(_) => Err(Failure::new(Kind::Invalid, "the `user` header must be one UUID").into()),
    }
}

/// The trace that a request belongs to, as [W3C Trace Context] writes it: this service adds no span of its own, so it
/// hands on what it was given. What is malformed is left out, as the standard demands.
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context/
pub(super) fn trace(visible: &BTreeMap<String, String>) -> Option<String> {
    let trace = visible.get("traceparent")?;
    let mut fields = trace.split('-');
    let mut hex = |length: usize| {
        let field = fields.next().unwrap_or_default();
        let fits = field.len() == length;
        let known = fits
            && field
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        known.then(|| field.bytes().any(|b| b != b'0'))
    };
    // Another version may have more fields, and means something else by them.
    let (version, id, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2));
    let fits = !version && id && span && flags.is_some() && fields.next().is_none();
    fits.then(|| trace.clone())
}

/// The text of `Idempotency-Key`, with or without quotes.
///
/// # Errors
/// [`Kind::Invalid`] if it is empty, too long, not plain text, or there are several.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = only(headers, KEY)? else {
        return Ok(None);
    };
    let value = value.trim();
    let key = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    if key.is_empty() || key.len() > KEY_LIMIT || !key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        let text = format!(
            "the `Idempotency-Key` header must be 1 to {KEY_LIMIT} plain characters, such as a UUID"
        );
        return Err(Failure::new(Kind::Invalid, text).into());
    }
    Ok(Some(key.to_owned()))
}

/// The one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name);
    let (first, second) = (values.next(), values.next());
    let invalid = |why: &str| Failure::new(Kind::Invalid, format!("the `{name}` header {why}"));
    match (first, second) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(invalid("must be there once").into()),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(invalid("must be plain text").into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    #[test]
    fn headers_that_claim_an_identity_are_not_seen_in_any_spelling() {
        let seen = visible(&headers(&[
            ("User", "a"),
            ("user", "b"),
            ("USER", "c"),
            ("X-User", "d"),
            ("saga", "e"),
            ("Transactions", "f"),
            ("related_services", "g"),
            ("Related-Services", "h"),
            ("x-saga", "i"),
            ("User-Agent", "j"),
            ("Accept", "k"),
            ("accept", "l"),
            ("X-Bytes", "\u{e9}"),
        ]));
        let seen: Vec<_> = seen.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(seen, [("accept", "k, l"), ("user-agent", "j")]);
    }

    #[test]
    fn a_trusted_user_is_exactly_one_uuid() {
        let id = Uuid::from_u128(1).to_string();
        assert_eq!(user(&headers(&[])).unwrap(), None);
        assert_eq!(
            user(&headers(&[("User", &id)])).unwrap(),
            Some(Uuid::from_u128(1))
        );
        for wrong in [
            &[("user", "me")][..],
            &[("user", "")],
            &[("user", &id), ("User", &id)],
            &[("user", &format!("{id}, {id}"))],
        ] {
            assert!(user(&headers(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_trace_is_handed_on_if_it_is_one() {
        let trace = |value: &str| trace(&visible(&headers(&[("Traceparent", value)])));
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        assert_eq!(trace(good).as_deref(), Some(good));
        for wrong in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-00",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331c-00",
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
        let twice = visible(&headers(&[("traceparent", good), ("traceparent", good)]));
        assert_eq!(super::trace(&twice), None);
    }

    #[test]
    fn an_idempotency_key_is_one_plain_text() {
        let key = |value: &str| idempotency_key(&headers(&[("Idempotency-Key", value)]));
        assert_eq!(key("abc").unwrap().as_deref(), Some("abc"));
        assert_eq!(key("\"abc\"").unwrap().as_deref(), Some("abc"));
        assert_eq!(idempotency_key(&headers(&[])).unwrap(), None);
        for wrong in ["", "\"\"", "\u{e9}", &"x".repeat(256)] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
        let twice = headers(&[("idempotency-key", "a"), ("Idempotency-Key", "a")]);
        assert!(idempotency_key(&twice).is_err());
    }
}
