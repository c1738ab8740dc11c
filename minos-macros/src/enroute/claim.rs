//! Claims: what only one handler of a crate may have is a constant of the crate's marker, so that a second one is
//! rustc's "duplicate definitions", at both places.

use proc_macro2::{Ident, Span};

use super::Door;

/// The constant's name; an event may have any number of handlers.
pub(super) fn name(door: &Door, event: bool, span: Span) -> Option<Ident> {
    let text = match door {
        Door::Aggregate(_) => return None,
        Door::Topic { .. } if event => return None,
        Door::Topic { name, .. } => topic(name),
        Door::Http { verb, path } => http(verb, path),
    };
    Some(Ident::new(&format!("handler_of_{text}"), span))
}

/// A name as a part of an identifier.
pub(crate) fn topic(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    // The dots and dashes are gone, and two names must stay two.
    let tail = if plain == name {
        String::new()
    } else {
        tail(name)
    };
    format!("{plain}{tail}")
}

/// `POST /foos/{uuid}/bars` as `POST__foos__any__bars`: two paths that match the same requests are one name.
fn http(verb: &str, path: &str) -> String {
    let mut exact = true;
    let segments = path.split('/').skip(1).map(|segment| {
        if segment.starts_with('{') {
            return "any".to_owned();
        }
        exact &= segment != "any" && segment.chars().all(|c| c.is_ascii_alphanumeric());
        segment
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect()
    });
    let segments: Vec<String> = segments.collect();
    let tail = if exact {
        String::new()
    } else {
        tail(&normal(path))
    };
    format!("{verb}__{}{tail}", segments.join("__"))
}

fn normal(path: &str) -> String {
    let segments = path.split('/');
    let segments: Vec<&str> = segments
        .map(|s| if s.starts_with('{') { "{}" } else { s })
        .collect();
    segments.join("/")
}

/// FNV-1a, short: it tells two names of one crate apart.
fn tail(text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("_{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::{http, topic};

    #[test]
    fn names_read_like_what_they_claim() {
        assert_eq!(topic("CreateFoo"), "CreateFoo");
        assert_eq!(http("POST", "/foos/{uuid}/bars"), "POST__foos__any__bars");
        assert_eq!(http("GET", "/"), "GET__");
    }

    #[test]
    fn parameters_are_one_and_lookalikes_are_two() {
        assert_eq!(http("GET", "/a/{b}"), http("GET", "/a/{c}"));
        assert_eq!(http("GET", "/a-x/{b}"), http("GET", "/a-x/{c}"));
        assert_ne!(http("GET", "/a/{b}"), http("GET", "/a/any"));
        assert_ne!(http("GET", "/a-b"), http("GET", "/a.b"));
        assert_ne!(http("GET", "/a__b"), http("GET", "/a/b"));
        assert_ne!(topic("a.b"), topic("a-b"));
        assert_ne!(topic("a.b"), topic("a_b"));
    }
}
