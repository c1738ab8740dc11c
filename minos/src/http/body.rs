//! Reads the body of a request: JSON, whole, and within the limit.

use std::time::Duration;

use actix_web::{
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
    web,
};
use futures_util::StreamExt;
use serde::de::IgnoredAny;

use crate::{
    error::{Failure, Kind, Result},
    payload::Payload,
};

/// How long a body may take to arrive: a client that stops in the middle must not hold its connection for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the body; empty if there is none.
///
/// # Errors
/// [`Kind::TooLarge`] above the limit, [`Kind::Invalid`] if it does not arrive as a whole.
pub(super) async fn read(
    headers: &HeaderMap,
    payload: web::Payload,
    limit: usize,
) -> Result<Vec<u8>> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok())
        .unwrap_or(0);
    if usize::try_from(announced).map_or(true, |n| n > limit) {
        return Err(too_large(limit).into());
    }
    match tokio::time::timeout(PATIENCE, collect(payload, limit)).await {
        Ok(body) => body,
        Err(_) => Err(Failure::new(Kind::Invalid, "the body did not arrive in time").into()),
    }
}

async fn collect(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|e| {
            Failure::new(Kind::Invalid, "the body did not arrive as a whole").because(e.to_string())
        })?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit).into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_large(limit: usize) -> Failure {
    let text = format!("the body is above the limit of {limit} bytes");
    Failure::new(Kind::TooLarge, text)
}

/// The body as one JSON document; [`None`] for an empty one.
///
/// # Errors
/// [`Kind::UnsupportedMedia`] for another media type, [`Kind::Invalid`] for what is not JSON in UTF-8.
pub(super) fn json(headers: &HeaderMap, body: Vec<u8>) -> Result<Option<Payload>> {
    if body.is_empty() {
        return Ok(None);
    }
    if !is_json(headers) {
        let text = "the body must be JSON: send `content-type: application/json`";
        return Err(Failure::new(Kind::UnsupportedMedia, text).into());
    }
    let text = String::from_utf8(body)
        .map_err(|_| Failure::new(Kind::Invalid, "the body is not UTF-8"))?;
    // A handler that takes no content would not notice that it is broken.
    serde_json::from_str::<IgnoredAny>(&text)
        .map_err(|e| Failure::new(Kind::Invalid, format!("the body is not JSON: {e}")))?;
    Ok(Some(Payload::from_text(text)))
}

/// Whether exactly one media type is named and it is JSON in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE);
    let (Some(one), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(one) = one.to_str() else {
        return false;
    };
    let mut parts = one.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let fits = match media.split_once('/') {
        Some(("application", "json")) => true,
        Some((_, sub)) => sub.len() > 5 && sub.ends_with("+json"),
        None => false,
    };
    fits && parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("us-ascii")
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn typed(media: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(media).unwrap());
        headers
    }

    #[test]
    fn json_by_its_media_type() {
        for (media, fits) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/merge-patch+json", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("application/jsonp", false),
            ("application/+json", false),
            ("json", false),
            ("", false),
        ] {
            assert_eq!(is_json(&typed(media)), fits, "{media}");
        }
        assert!(!is_json(&HeaderMap::new()));
        let mut two = typed("application/json");
        two.append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert!(!is_json(&two));
    }

    #[test]
    fn only_whole_documents_pass() {
        let headers = typed("application/json");
        let kind = |body: &[u8]| json(&headers, body.to_vec()).unwrap_err().kind();
        assert!(json(&HeaderMap::new(), Vec::new()).unwrap().is_none());
        assert_eq!(
            json(&headers, b" {\"a\":1} ".to_vec())
                .unwrap()
                .unwrap()
                .as_str(),
            " {\"a\":1} "
        );
        for broken in [
            &b"{"[..],
            b"{} {}",
            b"nope",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b" ",
        ] {
            assert_eq!(kind(broken), Some(Kind::Invalid), "{broken:?}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(kind(deep.as_bytes()), Some(Kind::Invalid));
        let none = json(&HeaderMap::new(), b"{}".to_vec()).unwrap_err();
        assert_eq!(none.kind(), Some(Kind::UnsupportedMedia));
    }
}
