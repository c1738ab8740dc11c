//! From what is written to what is meant.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::settings::{Bind, BrokerUrl, DatabaseUrl, PostgresUrl, Properties, Secret};

/// A value as it is written in a file, a variable, or code.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    /// Something no key takes, such as a table or a date.
    Other(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "\"{}\"", without_password(text)),
            Value::Number(n) => write!(f, "{n}"),
            Value::Flag(b) => write!(f, "{b}"),
            Value::Other(what) => write!(f, "({what})"),
        }
    }
}

/// What one key expects, for the error.
pub(super) type Parsed<T> = Result<T, String>;

/// Hides the password of a URL: errors end up in logs.
pub(super) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password may have a character that should have been written otherwise; all before the last `@` is suspect.
    let mut shown = match rest.rsplit_once('@') {
        Some((user, place)) if user.contains(':') => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}:***@{place}")
        }
        _ => format!("{scheme}://{rest}"),
    };
    for (at, option) in query.split('&').filter(|o| !o.is_empty()).enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        match option.split_once('=') {
            Some((name, _)) if name.contains("password") => {
                shown.push_str(name);
                shown.push_str("=***");
            }
            _ => shown.push_str(option),
        }
    }
    shown
}

fn text<'a>(value: &'a Value, example: &str) -> Parsed<&'a str> {
    match value {
        Value::Text(text) => Ok(text.trim()),
        _ => Err(format!("write a text, such as {example}")),
    }
}

/// A number from `least` to `most`.
pub(super) fn number(value: &Value, least: u64, most: u64) -> Parsed<u64> {
    let number = match value {
        Value::Number(n) => u64::try_from(*n).ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("write a whole number from {least} to {most}"))
}

pub(super) fn flag(value: &Value) -> Parsed<bool> {
    match value {
        Value::Flag(b) => Ok(*b),
        Value::Text(text) if text.trim() == "true" => Ok(true),
        Value::Text(text) if text.trim() == "false" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// A duration such as `5s`.
pub(super) fn duration(value: &Value) -> Parsed<Duration> {
    const EXAMPLE: &str = "write a number with ms, s, m, or h, such as \"5s\"";
    let text = text(value, "\"5s\"").map_err(|_| EXAMPLE.to_owned())?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXAMPLE.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| EXAMPLE.to_owned())?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| EXAMPLE.to_owned())
}

pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis != 0 && millis.is_multiple_of(size) {
            return format!("\"{}{unit}\"", millis / size);
        }
    }
    format!("\"{millis}ms\"")
}

/// A size in bytes: a number, or a text such as `1MiB`.
pub(super) fn bytes(value: &Value) -> Parsed<usize> {
    const EXAMPLE: &str =
        "write a number of bytes above zero, or a text with KiB, MiB, or GiB, such as \"1MiB\"";
    let wrong = || EXAMPLE.to_owned();
    let (number, size) = match value {
        Value::Number(n) => (u64::try_from(*n).map_err(|_| wrong())?, 1),
        Value::Text(text) => {
            let text = text.trim();
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = text.split_at(digits);
            let size = match unit.trim() {
                "" | "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return Err(wrong()),
            };
            (number.parse().map_err(|_| wrong())?, size)
        }
        Value::Flag(_) | Value::Other(_) => return Err(wrong()),
    };
    let total: Option<u64> = number.checked_mul(size);
    total
        .filter(|n| *n > 0)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(wrong)
}

pub(super) fn show_bytes(bytes: usize) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes.is_multiple_of(size) {
            return format!("\"{}{unit}\"", bytes / size);
        }
    }
    bytes.to_string()
}

/// A number, or `auto` for [`None`].
pub(super) fn or_auto(value: &Value, least: u64, most: u64) -> Parsed<Option<u64>> {
    match value {
        Value::Text(text) if text.trim() == "auto" => Ok(None),
        _ => number(value, least, most)
            .map(Some)
            .map_err(|e| format!("{e}, or \"auto\"")),
    }
}

/// A host and a port.
pub(super) fn bind(value: &Value) -> Parsed<Bind> {
    const EXAMPLE: &str = "write `host:port`, such as \"127.0.0.1:4545\"";
    let wrong = || EXAMPLE.to_owned();
    let text = text(value, "\"127.0.0.1:4545\"")?;
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(wrong());
    }
    Ok(Bind {
        host: host.to_owned(),
        port: port.parse().map_err(|_| wrong())?,
    })
}

/// What a URL may start with, and whether this build can do it.
struct Scheme {
    name: &'static str,
    built: bool,
    write: &'static str,
}

const DATABASES: &[Scheme] = &[
    Scheme {
        name: "postgres",
        built: cfg!(feature = "postgres"),
        write: "`postgres://user:password@host/database`",
    },
    Scheme {
        name: "sqlite",
        built: cfg!(feature = "sqlite"),
        write: "`sqlite://data/{service}.db`",
    },
    Scheme {
        name: "memory",
        built: true,
        write: "`memory://`",
    },
];

const BROKERS: &[Scheme] = &[
    Scheme {
        name: "kafka",
        built: cfg!(feature = "kafka"),
        write: "`kafka://host:9092`",
    },
    Scheme {
        name: "local",
        built: cfg!(feature = "local"),
        write: "`local://data/broker.db`",
    },
    Scheme {
        name: "memory",
        built: true,
        write: "`memory://`",
    },
];

pub(super) fn database(value: &Value) -> Parsed<DatabaseUrl> {
    let (scheme, path) = url(value, DATABASES)?;
    match scheme {
        "memory" => Ok(DatabaseUrl::Memory),
        "postgres" => postgres(path),
        _ => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
    }
}

/// What can be said of the URL without its driver.
fn postgres(rest: &str) -> Parsed<DatabaseUrl> {
    const WRITE: &str =
        "write `postgres://user:password@host/database`, special characters of the password as %XX";
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let database = place.split_once('/').map_or("", |(_, database)| database);
    let named = !database.is_empty() || query.split('&').any(|o| o.starts_with("dbname="));
    if !named {
        return Err(format!("the database is missing; {WRITE}"));
    }
    if database.contains('/') || rest.contains(char::is_whitespace) || rest.contains('#') {
        return Err(WRITE.to_owned());
    }
    Ok(DatabaseUrl::Postgres(PostgresUrl(format!(
        "postgres://{rest}"
    ))))
}

pub(super) fn broker(value: &Value) -> Parsed<BrokerUrl> {
    let (scheme, path) = url(value, BROKERS)?;
    match scheme {
        "memory" => Ok(BrokerUrl::Memory),
        "kafka" => kafka(path),
        _ => Ok(BrokerUrl::Local(PathBuf::from(path))),
    }
}

/// Some servers of a cluster.
fn kafka(rest: &str) -> Parsed<BrokerUrl> {
    const WRITE: &str = "write `kafka://host:9092,host2:9092`; a user, a password, and the like are `broker.properties`";
    let servers: Vec<String> = rest
        .trim_end_matches('/')
        .split(',')
        .map(|server| match server.rsplit_once(':') {
            None => format!("{server}:9092"),
            Some(_) => server.to_owned(),
        })
        .collect();
    for server in &servers {
        let server = Value::Text(server.clone());
        if bind(&server).is_err() || server.to_string().contains('@') {
            return Err(WRITE.to_owned());
        }
    }
    Ok(BrokerUrl::Kafka(servers.join(",")))
}

/// The beginning of the names of topics.
pub(super) fn prefix(value: &Value) -> Parsed<String> {
    const EXAMPLE: &str =
        "write at most 100 letters, digits, `.`, `_`, and `-` of ASCII, such as \"shop.\"";
    let text = text(value, "\"shop.\"")?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if text.len() > 100 || !text.bytes().all(fits) {
        return Err(EXAMPLE.to_owned());
    }
    Ok(text.to_owned())
}

/// A secret that can stand in a header; [`None`] for an empty one. What is wrong is told without it.
pub(super) fn secret(value: &Value) -> Parsed<Option<Secret>> {
    const WRITE: &str = "write 16 characters or more, each a letter, a digit, or one of `-._~+/=`";
    let text = text(value, "what `openssl rand -hex 32` prints").map_err(|_| WRITE.to_owned())?;
    if text.is_empty() {
        return Ok(None);
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if text.len() < 16 || !text.bytes().all(fits) {
        return Err(WRITE.to_owned());
    }
    Ok(Some(Secret(text.to_owned())))
}

/// `name=value` in each line, or between semicolons. What is wrong is told without a value: it may be a secret.
pub(super) fn properties(value: &Value) -> Parsed<Properties> {
    let text = text(value, "\"security.protocol=ssl\"")?;
    let between = if text.contains('\n') { '\n' } else { ';' };
    let mut all = BTreeMap::new();
    for (n, pair) in (1..).zip(text.split(between)) {
        if pair.trim().is_empty() {
            continue;
        }
        let named = pair
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = named.filter(|(name, _)| !name.is_empty()) else {
            return Err(format!(
                "number {n} has no `=`; write `name=value` in each line, or between semicolons"
            ));
        };
        #[cfg(feature = "kafka")]
        if let Some(why) = crate::broker::kafka::fixed(name) {
            return Err(format!("`{name}` cannot be set: {why}"));
        }
        all.insert(name.to_owned(), value.to_owned());
    }
    Ok(Properties(all))
}

/// A scheme that this build has, and the path behind it.
fn url<'v>(value: &'v Value, schemes: &[Scheme]) -> Parsed<(&'static str, &'v str)> {
    let fits: Vec<&Scheme> = schemes.iter().filter(|s| s.built).collect();
    let ways: Vec<&str> = fits.iter().map(|s| s.write).collect();
    let write = format!("write {}", ways.join(" or "));
    let Value::Text(text) = value else {
        return Err(write);
    };
    let Some((scheme, path)) = text.trim().split_once("://") else {
        return Err(write);
    };
    let scheme = if scheme == "postgresql" {
        "postgres"
    } else {
        scheme
    };
    let Some(found) = fits.iter().find(|s| s.name == scheme) else {
        let names: Vec<_> = fits.iter().map(|s| format!("`{}`", s.name)).collect();
        return Err(format!(
            "this build has no support for `{scheme}`, it has {}; {write}",
            names.join(" and ")
        ));
    };
    match (found.name, path) {
        ("memory", "") => Ok(("memory", "")),
        ("memory", _) => Err("nothing follows `memory://`".to_owned()),
        (_, "") => Err(format!("the path is missing; {write}")),
        ("local" | "sqlite", path) if path.contains(['?', '#']) => {
            Err(format!("a path has no options; {write}"))
        }
        (name, path) => Ok((name, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txt(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration(&txt("250ms")), Ok(Duration::from_millis(250)));
        assert_eq!(duration(&txt("2 m")), Ok(Duration::from_secs(120)));
        for wrong in ["5", "s", "-1s", "5 days", "", "99999999999999999999s"] {
            assert!(duration(&txt(wrong)).is_err(), "{wrong}");
        }
        assert!(duration(&Value::Number(5)).is_err());
        assert_eq!(show_duration(Duration::from_secs(90)), "\"90s\"");
        assert_eq!(show_duration(Duration::ZERO), "\"0ms\"");
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!(bytes(&Value::Number(10)), Ok(10));
        assert_eq!(bytes(&txt("10")), Ok(10));
        assert_eq!(bytes(&txt("2KiB")), Ok(2048));
        for wrong in ["0", "1MB", "-1", "MiB", "99999999999GiB", ""] {
            assert!(bytes(&txt(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(show_bytes(3 << 20), "\"3MiB\"");
        assert_eq!(show_bytes(1000), "1000");
    }

    #[test]
    fn a_bind_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("127.0.0.1:80", "127.0.0.1", 80),
            ("localhost:0", "localhost", 0),
            ("[::1]:4545", "::1", 4545),
        ] {
            let bind = bind(&txt(text)).unwrap();
            assert_eq!((bind.host.as_str(), bind.port), (host, port));
            assert_eq!(bind.to_string(), text);
        }
        for wrong in [
            "4545",
            ":4545",
            "host:",
            "::1:80",
            "a b:1",
            "h:65536",
            "http://h:1",
        ] {
            assert!(bind(&txt(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_name_what_this_build_has() {
        assert_eq!(database(&txt("memory://")), Ok(DatabaseUrl::Memory));
        let error = database(&txt("mysql://localhost/foo")).unwrap_err();
        assert!(error.contains("no support for `mysql`"), "{error}");
        assert!(error.contains("`memory://`"), "{error}");
        assert!(broker(&txt("memory://x")).is_err());
        assert!(database(&txt("data/foo.db")).is_err());
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_postgres_url_names_a_database() {
        for good in [
            "postgres://localhost/foo",
            "postgresql://joe:pw@[::1]:5432/{service}?sslmode=require",
            "postgres:///foo?host=/run/postgresql",
            "postgres://db?dbname=foo",
        ] {
            assert!(database(&txt(good)).is_ok(), "{good}");
        }
        for bad in [
            "postgres://",
            "postgres://db",
            "postgres://db/",
            "postgres://db/a b",
        ] {
            assert!(database(&txt(bad)).is_err(), "{bad}");
        }
        let url = database(&txt("postgresql://joe:pw@db/foo")).unwrap();
        assert_eq!(url.to_string(), "postgres://joe:***@db/foo");
        assert!(!format!("{url:?}").contains("pw"), "{url:?}");
    }

    #[cfg(all(feature = "sqlite", feature = "local"))]
    #[test]
    fn a_path_may_be_relative_or_not() {
        let url = database(&txt("sqlite:///var/lib/foo.db")).unwrap();
        assert_eq!(url, DatabaseUrl::Sqlite(PathBuf::from("/var/lib/foo.db")));
        assert_eq!(url.to_string(), "sqlite:///var/lib/foo.db");
        let url = broker(&txt("local://data/broker.db")).unwrap();
        assert_eq!(url, BrokerUrl::Local(PathBuf::from("data/broker.db")));
        assert!(database(&txt("sqlite://")).is_err());
        assert!(database(&txt("sqlite://x.db?mode=ro")).is_err());
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn a_cluster_is_some_of_its_servers() {
        let url = broker(&txt("kafka://one,two:9093/")).unwrap();
        assert_eq!(url, BrokerUrl::Kafka("one:9092,two:9093".to_owned()));
        assert_eq!(url.to_string(), "kafka://one:9092,two:9093");
        for wrong in [
            "kafka://",
            "kafka://joe:pw@one:9092",
            "kafka://one:x",
            "kafka://a,,b",
        ] {
            assert!(broker(&txt(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(prefix(&txt("shop.")), Ok("shop.".to_owned()));
        assert!(prefix(&txt("a b")).is_err());
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn properties_are_passed_on_and_never_shown() {
        let all = properties(&txt("sasl.username=joe; sasl.password=a=b")).unwrap();
        let pairs: Vec<_> = all.exposed().collect();
        assert_eq!(pairs, [("sasl.password", "a=b"), ("sasl.username", "joe")]);
        assert_eq!(all.to_string(), "sasl.password=***;sasl.username=***");
        assert!(!format!("{all:?}").contains("joe"));
        let lines = properties(&txt("debug=a,b\nsasl.password=a;b\n")).unwrap();
        assert_eq!(lines.0["sasl.password"], "a;b");
        let fixed = properties(&txt("acks=1")).unwrap_err();
        assert!(fixed.contains("`acks` cannot be set"), "{fixed}");
        assert!(!properties(&txt("s3cret")).unwrap_err().contains("s3cret"));
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        let token = secret(&txt("0123456789abcdef")).unwrap().unwrap();
        assert_eq!(token.exposed(), "0123456789abcdef");
        assert_eq!(format!("{token:?}"), "Secret(***)");
        assert_eq!(secret(&txt("")), Ok(None));
        for wrong in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdé"] {
            let error = secret(&txt(wrong)).unwrap_err();
            assert!(!error.contains("012345678"), "{error}");
        }
    }

    #[test]
    fn an_error_never_shows_a_password() {
        for (url, shown) in [
            ("postgres://joe:s3cr@t@db/foo", "postgres://joe:***@db/foo"),
            (
                "postgres://joe:s3/cr@db/foo?a=b",
                "postgres://joe:***@db/foo?a=b",
            ),
            (
                "postgres://db:5432/foo?user=joe&password=s3cr&a=b",
                "postgres://db:5432/foo?user=joe&password=***&a=b",
            ),
        ] {
            assert_eq!(txt(url).to_string(), format!("\"{shown}\""));
        }
        assert_eq!(txt("memory://").to_string(), "\"memory://\"");
    }
}
