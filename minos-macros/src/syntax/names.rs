//! Names inside string literals: topics, events, and paths. A stable compiler cannot point into a string, so the
//! texts say where.

use syn::LitStr;

use crate::diag::Diagnostics;

/// The name of an event of an aggregate, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct EventName {
    pub(crate) aggregate: String,
    pub(crate) verb: EventVerb,
    pub(crate) field: Option<String>,
}

/// What happened to the aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum EventVerb {
    Created,
    Updated,
    Deleted,
}

impl EventVerb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EventVerb::Created => "Created",
            EventVerb::Updated => "Updated",
            EventVerb::Deleted => "Deleted",
        }
    }
}

/// Checks a `topic`, or a stored `name`.
pub(crate) fn topic(what: &str, text: &LitStr, diag: &mut Diagnostics) -> Option<String> {
    let name = text.value();
    let why = bad_character(&name, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
    });
    match why {
        None => Some(name),
        Some(why) => {
            diag.error(text.span(), format_args!("invalid {what} `{name}`: {why}"))
                .help(format_args!(
                    "a {what} is ASCII letters, digits, `.`, `-`, and `_`"
                ));
            None
        }
    }
}

/// Why a name is refused: it is empty, or has a character that does not belong.
fn bad_character(name: &str, fits: impl Fn(char) -> bool) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    let (place, c) = name.chars().enumerate().find(|(_, c)| !fits(*c))?;
    let what = match c {
        ' ' => "a space".to_owned(),
        c => format!("`{}`", c.escape_debug()),
    };
    Some(format!("{what} at character {}", place + 1))
}

fn identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Takes the name of an event apart.
pub(crate) fn event_name(text: &LitStr, diag: &mut Diagnostics) -> Option<EventName> {
    let value = text.value();
    match split_event(&value) {
        Ok(name) => Some(name),
        Err((what, help)) => {
            diag.error(text.span(), what).help(help);
            None
        }
    }
}

fn split_event(value: &str) -> Result<EventName, (String, String)> {
    let forms = "write `\"FooCreated\"`, `\"FooUpdated\"`, `\"FooUpdated.field\"`, or `\"FooDeleted\"`; \
                 an event of your own is a type under `#[contract(event)]`: `event(OrderPaid)`";
    let (name, field) = match value.split_once('.') {
        Some((name, field)) => (name, Some(field)),
        None => (value, None),
    };
    let verbs = [EventVerb::Created, EventVerb::Updated, EventVerb::Deleted];
    let split = verbs
        .into_iter()
        .find_map(|verb| Some((name.strip_suffix(verb.as_str())?, verb)));
    let Some((aggregate, verb)) = split else {
        let why = "it does not end in `Created`, `Updated`, or `Deleted`";
        return Err((format!("invalid event `{value}`: {why}"), forms.to_owned()));
    };
    if !identifier(aggregate) {
        let why = format!("no aggregate is called `{aggregate}`");
        return Err((format!("invalid event `{value}`: {why}"), forms.to_owned()));
    }
    if let Some(field) = field {
        if verb != EventVerb::Updated {
            let why = format!(
                "only `{aggregate}Updated` has fields that changed, `{name}` is about the whole"
            );
            let help = format!("write `\"{aggregate}Updated.{field}\"` or `\"{name}\"`");
            return Err((format!("invalid event `{value}`: {why}"), help));
        }
        if !identifier(field) {
            let why = format!("no field is called `{field}`");
            let help = format!("write `\"{name}.field\"`, or `\"{name}\"` for any change");
            return Err((format!("invalid event `{value}`: {why}"), help));
        }
    }
    Ok(EventName {
        aggregate: aggregate.to_owned(),
        verb,
        field: field.map(str::to_owned),
    })
}

/// Checks the path of an HTTP route.
pub(crate) fn rest_path(text: &LitStr, diag: &mut Diagnostics) -> Option<String> {
    let path = text.value();
    match bad_path(&path) {
        None => Some(path),
        Some((why, help)) => {
            diag.error(text.span(), format_args!("invalid path `{path}`: {why}"))
                .help(help);
            None
        }
    }
}

fn bad_path(path: &str) -> Option<(String, String)> {
    let refuse = |why: &str, help: String| Some((why.to_owned(), help));
    if !path.starts_with('/') {
        return refuse("it does not start with `/`", format!("write `\"/{path}\"`"));
    }
    if let Some((before, _)) = path.split_once(['?', '#']) {
        let help = format!(
            "write `\"{before}\"`; parameters behind `?` are read with the second type of `Request<Content, Params>`"
        );
        return refuse("it has a query string or a fragment", help);
    }
    if path == "/system" || path.starts_with("/system/") {
        let help = "`/system/..` answers health, metrics, and sagas of every service; take another first segment";
        return refuse("`/system` belongs to minos", help.to_owned());
    }
    if path == "/spec" || path.starts_with("/spec/") {
        let help = "`/spec/..` describes every service and its sagas; take another first segment";
        return refuse("`/spec` belongs to minos", help.to_owned());
    }
    let mut parameters = Vec::new();
    for segment in path.split('/').skip(1) {
        if segment.is_empty() && path != "/" {
            let help = format!("write `\"{}\"`", tidy(path));
            return refuse("it has an empty segment", help);
        }
        if !segment.contains(['{', '}']) {
            let why = bad_character(segment, |c| {
                c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%".contains(c)
            });
            if let Some(why) = why.filter(|_| !segment.is_empty()) {
                let help = "segments are ASCII letters, digits, and `-._~`; escape others with `%`";
                return Some((format!("segment `{segment}` has {why}"), help.to_owned()));
            }
            continue;
        }
        let name = segment
            .strip_prefix('{')
            .and_then(|s| s.strip_suffix('}'))
            .filter(|name| identifier(name));
        let Some(name) = name else {
            let why = format!("`{segment}` is no parameter");
            return Some((
                why,
                "a parameter is a whole segment, such as `{uuid}`".to_owned(),
            ));
        };
        if parameters.contains(&name) {
            let why = format!("parameter `{name}` stands in it twice");
            return Some((why, "give each parameter its own name".to_owned()));
        }
        parameters.push(name);
    }
    None
}

fn tidy(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_an_aggregate_and_what_happened() {
        let name = split_event("FooUpdated.bar").unwrap();
        assert_eq!(name.aggregate, "Foo");
        assert_eq!(name.verb, EventVerb::Updated);
        assert_eq!(name.field.as_deref(), Some("bar"));
        assert_eq!(
            split_event("FooCreatedDeleted").unwrap().aggregate,
            "FooCreated"
        );
        for bad in [
            "",
            "Created",
            "Foo",
            "FooDone",
            "FooCreated.bar",
            "FooUpdated.",
            "FooUpdated.a.b",
            "a bCreated",
        ] {
            assert!(split_event(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_segments_and_parameters() {
        for good in [
            "/",
            "/foos",
            "/foos/{uuid}",
            "/a/{b}/c/{d}",
            "/a.b-c_d~e",
            "/systems",
        ] {
            assert_eq!(bad_path(good), None, "{good}");
        }
        for bad in [
            "",
            "foos",
            "/foos/",
            "/a//b",
            "/a/{b}/{b}",
            "/a/{}",
            "/a/x{b}",
            "/a/{b",
            "/a?x=1",
            "/a#b",
            "/a b",
            "/system",
            "/system/health",
            "/spec/sagas",
            "/ä",
            "//",
        ] {
            assert!(bad_path(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn the_place_inside_a_text_is_counted_in_characters() {
        assert_eq!(
            bad_character("Create Foo", char::is_alphanumeric).unwrap(),
            "a space at character 7"
        );
        assert_eq!(
            bad_character("ä/", char::is_alphanumeric).unwrap(),
            "`/` at character 2"
        );
        assert_eq!(
            bad_character("", char::is_alphanumeric).unwrap(),
            "it is empty"
        );
    }
}
