//! Percent-encoded text of paths and queries.

use crate::error::{Failure, Kind, Result};

/// Decodes the segments of a path. A slash that was encoded stays inside its segment.
pub(super) fn path(raw: &str) -> Result<Vec<String>> {
    super::routes::segments(raw)
        .map(|segment| {
            decode(segment, false).ok_or_else(|| {
                let text = "the path is not percent-encoded UTF-8";
                Failure::new(Kind::Invalid, text).into()
            })
        })
        .collect()
}

/// Decodes `a=1&b=2`, in its order.
pub(super) fn query(raw: &str) -> Result<Vec<(String, String)>> {
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            decode(name, true).zip(decode(value, true)).ok_or_else(|| {
                let text = "the query is not percent-encoded UTF-8";
                Failure::new(Kind::Invalid, text).into()
            })
        })
        .collect()
}

/// [`None`] for a broken escape or bytes that are no UTF-8.
fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
                high * 16 + low
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_per_segment() {
        assert_eq!(path("/a%20b/c%2Fd/+").unwrap(), ["a b", "c/d", "+"]);
        assert_eq!(path("/%C3%A9").unwrap(), ["é"]);
        assert!(path("/").unwrap().is_empty());
        for wrong in ["/%", "/%4", "/%zz", "/%ff", "/%+1"] {
            let error = path(wrong).unwrap_err();
            assert_eq!(error.kind(), Some(Kind::Invalid), "{wrong}");
        }
    }

    #[test]
    fn queries_are_decoded_in_their_order() {
        let pairs = query("b=1+2&a=%26&&c&d=e=f").unwrap();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, [("b", "1 2"), ("a", "&"), ("c", ""), ("d", "e=f")]);
        assert!(query("").unwrap().is_empty());
        for wrong in ["a=%", "%g0=1", "a=%fe"] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_encoded_comes_back(text in ".*") {
            let encoded: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
            proptest::prop_assert_eq!(&query(&format!("a={encoded}")).unwrap(), &[("a".to_owned(), text.clone())]);
            if !text.is_empty() {
                proptest::prop_assert_eq!(path(&format!("/{encoded}")).unwrap(), [text]);
            }
        }

        #[test]
        fn no_text_is_too_much(text in ".*") {
            let _ = (path(&text), query(&text));
        }
    }
}
