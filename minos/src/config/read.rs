//! Reads what is said in the file and in variables, without applying it yet.

use std::{collections::BTreeSet, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{self, KEYS},
    problem::{Problems, nearest, suggest},
    value::Value,
};

/// One value somebody wrote.
#[derive(Debug)]
pub(super) struct Entry {
    /// For one service, by its name as it is written; [`None`] for all.
    pub(super) service: Option<String>,
    /// The place in [`KEYS`].
    pub(super) key: usize,
    pub(super) value: Value,
    /// Where it stands: `file:line`, or the variable.
    pub(super) origin: String,
}

/// The prefix of our variables.
const PREFIX: &str = "MINOS_";

/// What the file says.
pub(super) fn file(path: &str, text: &str, problems: &mut Problems) -> Vec<Entry> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        path,
        text,
        entries: Vec::new(),
        problems: Vec::new(),
    };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.problem(at, format!("this is not TOML: {}", error.message()));
    }
    reader.root(root.get_ref());
    // Tables come sorted by name; people read from top to bottom.
    reader.problems.sort();
    for (at, text) in std::mem::take(&mut reader.problems) {
        let origin = reader.origin(at);
        problems.add(format!("{origin}: {text}"));
    }
    reader.entries
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    entries: Vec<Entry>,
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> String {
        let line = 1 + self.text.bytes().take(at).filter(|b| *b == b'\n').count();
        format!("{}:{line}", self.path)
    }

    fn problem(&mut self, at: usize, text: String) {
        self.problems.push((at, text));
    }

    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            let (at, name) = (name.span().start, name.get_ref().as_ref());
            match (name, value.get_ref()) {
                ("service", DeValue::Table(services)) => self.services(services),
                ("service", _) => self.problem(
                    at,
                    "`service` is a table; write `[service.foo.http]` for the `[http]` of `foo`"
                        .to_owned(),
                ),
                _ => self.section(None, at, name, value),
            }
        }
    }

    fn services(&mut self, services: &DeTable<'_>) {
        for (service, sections) in services {
            let (at, service) = (service.span().start, service.get_ref().as_ref());
            let DeValue::Table(sections) = sections.get_ref() else {
                let text = format!(
                    "`service.{service}` is no table; write `[service.{service}.http]` with its keys below"
                );
                self.problem(at, text);
                continue;
            };
            for (name, value) in sections {
                self.section(Some(service), name.span().start, name.get_ref(), value);
            }
        }
    }

    fn section(
        &mut self,
        service: Option<&str>,
        at: usize,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) {
        let known = sections();
        match value.get_ref() {
            DeValue::Table(keys) if known.contains(name) => {
                for (key, value) in keys {
                    self.key(service, name, key.span(), key.get_ref(), value.get_ref());
                }
            }
            DeValue::Table(keys) if service.is_none() && nested(keys) => self.problem(
                at,
                format!(
                    "unknown section `[{name}]`; write `[service.{name}.http]` for the `[http]` of service `{name}`"
                ),
            ),
            DeValue::Table(_) => {
                let hint = suggest(name, known.iter().copied().chain(["service"]));
                self.problem(at, format!("unknown section `[{name}]`{hint}"));
            }
            _ if known.contains(name) => self.problem(
                at,
                format!("`{name}` is a section; write `[{name}]` with its keys below"),
            ),
            _ => {
                let hint = elsewhere(name).unwrap_or_else(|| suggest(name, known.iter().copied()));
                self.problem(at, format!("unknown key `{name}`{hint}"));
            }
        }
    }

    fn key(
        &mut self,
        service: Option<&str>,
        section: &str,
        span: Range<usize>,
        name: &str,
        value: &DeValue<'_>,
    ) {
        let path = format!("{section}.{name}");
        let Some(key) = keys::find(&path) else {
            let names = names(section);
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => elsewhere(name).unwrap_or_else(|| suggest(name, names.into_iter())),
            };
            self.problem(
                span.start,
                format!("unknown key `{name}` in `[{section}]`{hint}"),
            );
            return;
        };
        if service.is_some() && !KEYS[key].per_service {
            let text = format!(
                "`{path}` is one for all services of a process; write it under `[{section}]`"
            );
            self.problem(span.start, text);
            return;
        }
        self.entries.push(Entry {
            service: service.map(str::to_owned),
            key,
            value: read(value),
            origin: self.origin(span.start),
        });
    }
}

fn read(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Value::Number(n),
            Err(_) => Value::Other("a very large number"),
        },
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(_) => Value::Other("a list"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

fn nested(keys: &DeTable<'_>) -> bool {
    keys.iter()
        .any(|(_, v)| matches!(v.get_ref(), DeValue::Table(_)))
}

/// The section of every key.
fn sections() -> BTreeSet<&'static str> {
    KEYS.iter()
        .filter_map(|k| k.path.split('.').next())
        .collect()
}

/// The names of the keys of one section.
fn names(section: &str) -> Vec<&'static str> {
    KEYS.iter()
        .filter_map(|k| k.path.split_once('.'))
        .filter(|(s, _)| *s == section)
        .map(|(_, name)| name)
        .collect()
}

/// Where a key stands that was written in the wrong section.
fn elsewhere(name: &str) -> Option<String> {
    let sections: Vec<String> = KEYS
        .iter()
        .filter_map(|k| k.path.split_once('.'))
        .filter(|(_, known)| *known == name)
        .map(|(section, _)| format!("`[{section}]`"))
        .collect();
    (!sections.is_empty()).then(|| format!("; write it under {}", sections.join(" or ")))
}

/// What variables say. Those that are not ours are left alone.
pub(super) fn variables(
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Problems,
) -> Vec<Entry> {
    let mut found: Vec<(String, String)> = variables
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    // The environment has no order.
    found.sort();
    let mut entries = Vec::new();
    for (name, value) in found {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let (service, key) = match rest.strip_prefix("SERVICE_") {
            Some(rest) => match of_service(rest) {
                Some((service, key)) => (Some(service), Some(key)),
                None => (None, None),
            },
            None => (None, KEYS.iter().position(|k| k.variable() == rest)),
        };
        let Some(key) = key else {
            if let Some(text) = unknown(&name, rest) {
                problems.add(text);
            }
            continue;
        };
        if service.is_some() && !KEYS[key].per_service {
            problems.add(format!(
                "{name}: `{}` is one for all services of a process; set {PREFIX}{}",
                KEYS[key].path,
                KEYS[key].variable()
            ));
            continue;
        }
        entries.push(Entry {
            service,
            key,
            value: Value::Text(value),
            origin: name,
        });
    }
    entries
}

/// Splits `FOO_HTTP_BIND` into the service and the key.
fn of_service(rest: &str) -> Option<(String, usize)> {
    KEYS.iter().enumerate().find_map(|(index, key)| {
        let service = rest.strip_suffix(&key.variable())?.strip_suffix('_')?;
        (!service.is_empty()).then(|| (service.to_owned(), index))
    })
}

/// What to say about a variable that no key has; [`None`] if it is probably not meant for us.
fn unknown(name: &str, rest: &str) -> Option<String> {
    if is_service_link(rest) || rest == "CONFIG" {
        return None;
    }
    let known: Vec<String> = KEYS
        .iter()
        .map(|k| k.variable())
        .chain(["CONFIG".to_owned()])
        .collect();
    let (shown, hint) = match rest.strip_prefix("SERVICE_") {
        Some(_) => (
            true,
            "; write MINOS_SERVICE_<SERVICE>_<SECTION>_<KEY>".to_owned(),
        ),
        None => match nearest(rest, known.iter().map(String::as_str)) {
            Some(near) => (true, format!("; did you mean `{PREFIX}{near}`?")),
            None => {
                let section = rest
                    .split('_')
                    .next()
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let names = names(&section);
                let keys: Vec<String> = names
                    .iter()
                    .map(|n| {
                        format!(
                            "`{PREFIX}{}_{}`",
                            section.to_ascii_uppercase(),
                            n.to_ascii_uppercase()
                        )
                    })
                    .collect();
                (!keys.is_empty(), format!("; there is {}", keys.join(", ")))
            }
        },
    };
    shown.then(|| format!("{name}: no key is called so{hint}"))
}

/// Kubernetes sets such variables in every container for a Service called `minos` or `minos-http`.
fn is_service_link(rest: &str) -> bool {
    let rest = format!("_{rest}");
    rest.ends_with("_PORT")
        || rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest
            .split_once("_PORT_")
            .is_some_and(|(_, port)| port.starts_with(|c: char| c.is_ascii_digit()))
}
