//! Every key, once: its name, what it takes, and where it may be said.

use tracing_subscriber::EnvFilter;

use super::{
    settings::{LogFormat, Settings},
    value::{self, Parsed, Value},
};

/// One key.
pub(super) struct Key {
    /// Section and name, such as `http.bind`.
    pub(super) path: &'static str,
    /// Whether one service of a process may have its own value.
    pub(super) per_service: bool,
    pub(super) set: fn(&mut Settings, &Value) -> Parsed<()>,
    /// The value as it would stand in the file.
    pub(super) show: fn(&Settings) -> String,
}

impl Key {
    /// The name behind the prefix of a variable, such as `HTTP_BIND`.
    pub(super) fn variable(&self) -> String {
        self.path.replace('.', "_").to_ascii_uppercase()
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "database.url",
        per_service: true,
        set: |s, v| value::database(v).map(|url| s.database.url = url),
        show: |s| format!("\"{}\"", s.database.url),
    },
    Key {
        path: "database.pool",
        per_service: true,
        set: |s, v| small(v, 1024).map(|n| s.database.pool = n),
        show: |s| s.database.pool.to_string(),
    },
    Key {
        path: "database.allow_restored",
        per_service: true,
        set: |s, v| value::flag(v).map(|b| s.database.allow_restored = b),
        show: |s| s.database.allow_restored.to_string(),
    },
    Key {
        path: "broker.url",
        per_service: false,
        set: |s, v| value::broker(v).map(|url| s.broker.url = url),
        show: |s| format!("\"{}\"", s.broker.url),
    },
    Key {
        path: "broker.partitions",
        per_service: false,
        set: |s, v| small(v, 1024).map(|n| s.broker.partitions = n),
        show: |s| s.broker.partitions.to_string(),
    },
    Key {
        path: "broker.lease",
        per_service: false,
        set: |s, v| {
            let lease = value::duration(v)?;
            if lease.is_zero() {
                return Err("write a duration above zero, such as \"3s\"".to_owned());
            }
            s.broker.lease = lease;
            Ok(())
        },
        show: |s| value::show_duration(s.broker.lease),
    },
    Key {
        path: "broker.prefix",
        per_service: false,
        set: |s, v| value::prefix(v).map(|prefix| s.broker.prefix = prefix),
        show: |s| format!("\"{}\"", s.broker.prefix),
    },
    Key {
        path: "broker.replication",
        per_service: false,
        set: |s, v| {
            let copies = value::or_auto(v, 1, 100)?;
            s.broker.replication = copies.and_then(|n| u32::try_from(n).ok());
            Ok(())
        },
        show: |s| match s.broker.replication {
            None => "\"auto\"".to_owned(),
            Some(n) => n.to_string(),
        },
    },
    Key {
        path: "broker.properties",
        per_service: false,
        set: |s, v| value::properties(v).map(|all| s.broker.properties = all),
        show: |s| format!("\"{}\"", s.broker.properties),
    },
    Key {
        path: "http.bind",
        per_service: true,
        set: |s, v| value::bind(v).map(|bind| s.http.bind = bind),
        show: |s| format!("\"{}\"", s.http.bind),
    },
    Key {
        path: "http.body_limit",
        per_service: true,
        set: |s, v| value::bytes(v).map(|n| s.http.body_limit = n),
        show: |s| value::show_bytes(s.http.body_limit),
    },
    Key {
        path: "http.workers",
        per_service: true,
        set: |s, v| {
            let n = value::or_auto(v, 1, 512)?;
            s.http.workers = n.and_then(|n| usize::try_from(n).ok());
            Ok(())
        },
        show: |s| match s.http.workers {
            None => "\"auto\"".to_owned(),
            Some(n) => n.to_string(),
        },
    },
    Key {
        path: "http.trust_identity_headers",
        per_service: true,
        set: |s, v| value::flag(v).map(|b| s.http.trust_identity_headers = b),
        show: |s| s.http.trust_identity_headers.to_string(),
    },
    Key {
        path: "http.operator_token",
        per_service: true,
        set: |s, v| value::secret(v).map(|token| s.http.operator_token = token),
        show: |s| match s.http.operator_token {
            None => "\"\"".to_owned(),
            Some(_) => "\"***\"".to_owned(),
        },
    },
    Key {
        path: "runtime.stop_grace",
        per_service: false,
        set: |s, v| value::duration(v).map(|d| s.runtime.stop_grace = d),
        show: |s| value::show_duration(s.runtime.stop_grace),
    },
    Key {
        path: "runtime.concurrency",
        per_service: true,
        set: |s, v| small(v, 65_536).map(|n| s.runtime.concurrency = n as usize),
        show: |s| s.runtime.concurrency.to_string(),
    },
    Key {
        path: "runtime.retries",
        per_service: true,
        set: |s, v| {
            let n = value::number(v, 0, 1000)?;
            s.runtime.retries = u32::try_from(n).unwrap_or(u32::MAX);
            Ok(())
        },
        show: |s| s.runtime.retries.to_string(),
    },
    Key {
        path: "runtime.reruns",
        per_service: true,
        set: |s, v| small(v, 1000).map(|n| s.runtime.reruns = n),
        show: |s| s.runtime.reruns.to_string(),
    },
    Key {
        path: "runtime.inbox_retention",
        per_service: true,
        set: |s, v| {
            let retention = match v {
                Value::Text(text) if text.trim() == "auto" => None,
                _ => Some(value::duration(v)?),
            };
            if retention.is_some_and(|r| r.as_secs() < 24 * 3600) {
                return Err("write a day or more, such as \"336h\", or \"auto\"".to_owned());
            }
            s.runtime.inbox_retention = retention;
            Ok(())
        },
        show: |s| match s.runtime.inbox_retention {
            None => "\"auto\"".to_owned(),
            Some(retention) => value::show_duration(retention),
        },
    },
    Key {
        path: "log.level",
        per_service: false,
        set: level,
        show: |s| format!("\"{}\"", s.log.level),
    },
    Key {
        path: "log.format",
        per_service: false,
        set: |s, v| {
            s.log.format = match v {
                Value::Text(text) if text.trim() == "text" => LogFormat::Text,
                Value::Text(text) if text.trim() == "json" => LogFormat::Json,
                _ => return Err("write \"text\" or \"json\"".to_owned()),
            };
            Ok(())
        },
        show: |s| format!("\"{}\"", s.log.format),
    },
];

/// The place of a key in [`KEYS`].
pub(super) fn find(path: &str) -> Option<usize> {
    KEYS.iter().position(|k| k.path == path)
}

fn small(value: &Value, most: u32) -> Parsed<u32> {
    let n = value::number(value, 1, most.into())?;
    Ok(u32::try_from(n).unwrap_or(most))
}

fn level(settings: &mut Settings, value: &Value) -> Parsed<()> {
    const EXAMPLE: &str =
        "write error, warn, info, debug, trace, or directives such as \"info,minos=debug\"";
    let Value::Text(text) = value else {
        return Err(EXAMPLE.to_owned());
    };
    // Directives are ASCII; the filter's own parser panics on some others.
    if text.trim().is_empty() || !text.is_ascii() || EnvFilter::try_new(text).is_err() {
        return Err(EXAMPLE.to_owned());
    }
    settings.log.level.clone_from(text);
    Ok(())
}
