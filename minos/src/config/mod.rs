//! Configuration: from `minos.toml` and `MINOS_..` variables, typed and checked as a whole.
//!
//! Nothing needs to be written: every key has a default. What is written is said in this order, the later wins:
//!
//! 1. the defaults (`reference.toml` beside this module lists them);
//! 2. the file: `./minos.toml`, or the one that `MINOS_CONFIG` names;
//! 3. variables: `[http] bind` is `MINOS_HTTP_BIND`;
//! 4. the file for one service: `[service.foo.http] bind`;
//! 5. variables for one service: `MINOS_SERVICE_FOO_HTTP_BIND`.
//!
//! ```
//! use minos::config::Config;
//!
//! let config = Config::in_memory().set("http.body_limit", "64KiB")?;
//! let foo = config.for_service("foo", 0);
//! assert_eq!(foo.http.body_limit, 64 * 1024);
//! # Ok::<(), minos::Error>(())
//! ```

mod keys;
mod problem;
mod read;
mod settings;
mod value;

#[cfg(test)]
#[cfg(all(feature = "local", feature = "sqlite"))]
mod tests;

use std::{collections::BTreeMap, fs, io, path::PathBuf};

pub(crate) use self::settings::INBOX_RETENTION;
pub use self::settings::{
    Bind, Broker, BrokerUrl, Database, DatabaseUrl, Http, Log, LogFormat, PostgresUrl, Properties,
    Runtime, Secret, Settings,
};
use self::{
    keys::KEYS,
    problem::{Problems, suggest},
    read::Entry,
    value::Value,
};
use crate::error::{Error, Kind, Result};

/// The file that is read unless `MINOS_CONFIG` names another.
const FILE: &str = "minos.toml";

/// The configuration of one process.
#[derive(Debug, Clone, Default)]
pub struct Config {
    base: Settings,
    /// By the service's name as [`fold`] writes it.
    services: BTreeMap<String, Overlay>,
}

/// What was written for one service.
#[derive(Debug, Clone, Default)]
struct Overlay {
    /// The name and the place of the first entry.
    written: (String, String),
    entries: Vec<(usize, Value)>,
}

/// The configuration of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The service's name.
    pub name: String,
    /// Where its events and everything else of it are kept.
    pub database: Database,
    /// How it reaches other services.
    pub broker: Broker,
    /// Its HTTP door.
    pub http: Http,
    /// How its work is run.
    pub runtime: Runtime,
}

impl Config {
    /// Reads the file and the variables of this process.
    ///
    /// # Errors
    /// [`Kind::Config`] that lists everything that is wrong, each with its key, value, place and remedy.
    pub fn load() -> Result<Self> {
        let mut problems = Problems::default();
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|n| n.starts_with("MINOS_")) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => variables.push((name.to_owned(), value)),
                Err(_) => problems.add(format!("{name}: the value is not UTF-8; write it anew")),
            }
        }
        let named = variables
            .iter()
            .find(|(name, _)| name == "MINOS_CONFIG")
            .map(|(_, path)| path.clone());
        let path = named.clone().unwrap_or_else(|| FILE.to_owned());
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => None,
            Err(e) => {
                let said = named.as_ref().map_or("", |_| "MINOS_CONFIG: ");
                problems.add(format!(
                    "{said}cannot read `{path}` ({e}); name a readable TOML file, or remove the variable"
                ));
                None
            }
        };
        let file = text.as_deref().map(|text| (path.as_str(), text));
        Self::from_parts(file, variables.into_iter(), problems)
    }

    /// Reads a file that was read already: its name for the errors, and its text. Variables are not looked at.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        Self::from_parts(Some((path, text)), std::iter::empty(), Problems::default())
    }

    /// A configuration that leaves nothing behind: all in memory, on any free port. For tests.
    #[must_use]
    pub fn in_memory() -> Self {
        let mut config = Self::default();
        config.base.database.url = DatabaseUrl::Memory;
        config.base.broker.url = BrokerUrl::Memory;
        config.base.http.bind.port = 0;
        config
    }

    /// Sets a key, such as `http.bind`, for all services.
    ///
    /// # Errors
    /// [`Kind::Config`] if there is no such key or the value does not fit.
    pub fn set(self, key: &str, value: &str) -> Result<Self> {
        self.set_in_code(None, key, value)
    }

    /// Sets a key, such as `http.bind`, for one service.
    ///
    /// # Errors
    /// [`Kind::Config`] if there is no such key, it is one for all services, or the value does not fit.
    pub fn set_for(self, service: &str, key: &str, value: &str) -> Result<Self> {
        self.set_in_code(Some(service), key, value)
    }

    fn set_in_code(mut self, service: Option<&str>, path: &str, value: &str) -> Result<Self> {
        let Some(key) = keys::find(path) else {
            let hint = suggest(path, KEYS.iter().map(|k| k.path));
            let text = format!("unknown key `{path}`{hint}");
            return Err(Error::new(Kind::Config, text));
        };
        let mut problems = Problems::default();
        if service.is_some() && !KEYS[key].per_service {
            problems.add(format!("`{path}` is one for all services of a process"));
        }
        let entry = Entry {
            service: service.map(str::to_owned),
            key,
            value: Value::Text(value.to_owned()),
            origin: "in code".to_owned(),
        };
        self.apply(entry, &mut problems);
        problems.into_result()?;
        Ok(self)
    }

    fn from_parts(
        file: Option<(&str, &str)>,
        variables: impl Iterator<Item = (String, String)>,
        mut problems: Problems,
    ) -> Result<Self> {
        let mut config = Self::default();
        let mut said = Vec::new();
        if let Some((path, text)) = file {
            said.extend(read::file(path, text, &mut problems));
        }
        said.extend(read::variables(variables, &mut problems));
        let mut written = vec![false; KEYS.len()];
        for entry in said {
            written[entry.key] |= entry.service.is_none();
            config.apply(entry, &mut problems);
        }
        // A default may ask for more than this build has.
        for (key, _) in KEYS.iter().zip(written).filter(|(_, written)| !written) {
            let shown = (key.show)(&config.base);
            let value = Value::Text(shown.trim_matches('"').to_owned());
            if let Err(fix) = (key.set)(&mut config.base, &value) {
                problems.add(format!("`{}` = {value} (the default): {fix}", key.path));
            }
        }
        problems.into_result()?;
        Ok(config)
    }

    fn apply(&mut self, entry: Entry, problems: &mut Problems) {
        let key = &KEYS[entry.key];
        let mut scratch;
        let target = if entry.service.is_none() {
            &mut self.base
        } else {
            scratch = self.base.clone();
            &mut scratch
        };
        if let Err(fix) = (key.set)(target, &entry.value) {
            let shown = match key.path {
                // It may hold secrets.
                "broker.properties" | "http.operator_token" => "***".to_owned(),
                _ => entry.value.to_string(),
            };
            problems.add(format!("{}: `{}` = {shown}: {fix}", entry.origin, key.path));
            return;
        }
        if let Some(service) = entry.service {
            let overlay = self
                .services
                .entry(fold(&service))
                .or_insert_with(|| Overlay {
                    written: (service, entry.origin),
                    entries: Vec::new(),
                });
            overlay.entries.push((entry.key, entry.value));
        }
    }

    /// The settings for all services, and those of the process (`runtime.stop_grace`, `log`).
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.base
    }

    /// The configuration of one service: the `index`-th of its process, counted from zero.
    ///
    /// Unless it has a `bind` of its own, its port is the configured one plus `index`.
    #[must_use]
    pub fn for_service(&self, name: &str, index: usize) -> ServiceConfig {
        let mut settings = self.base.clone();
        let port = &mut settings.http.bind.port;
        if *port != 0 {
            *port = shifted(*port, index).unwrap_or(u16::MAX);
        }
        if let Some(overlay) = self.services.get(&fold(name)) {
            for (key, value) in &overlay.entries {
                // Every entry was tried when it was read.
                let _ = (KEYS[*key].set)(&mut settings, value);
            }
        }
        if let DatabaseUrl::Sqlite(path) = &mut settings.database.url {
            *path = named(path, name);
        }
        if let DatabaseUrl::Postgres(url) = &mut settings.database.url {
            url.0 = url.0.replace("{service}", name);
        }
        if let BrokerUrl::Local(path) = &mut settings.broker.url {
            *path = named(path, name);
        }
        ServiceConfig {
            name: name.to_owned(),
            database: settings.database,
            broker: settings.broker,
            http: settings.http,
            runtime: settings.runtime,
        }
    }

    /// The configurations of all services of a process, checked against each other.
    ///
    /// # Errors
    /// [`Kind::Config`] for settings of a service that is not there, and for services that would share a database
    /// or an address.
    pub fn for_services(&self, names: &[&str]) -> Result<Vec<ServiceConfig>> {
        let mut problems = Problems::default();
        for (folded, overlay) in &self.services {
            if names.iter().all(|n| fold(n) != *folded) {
                let (name, origin) = &overlay.written;
                let hint = suggest(name, names.iter().copied());
                problems.add(format!("{origin}: no service `{name}` is started{hint}"));
            }
        }
        let mut all: Vec<ServiceConfig> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let config = self.for_service(name, index);
            let own = self.has_own(name, "http.bind");
            if !own && shifted(self.base.http.bind.port, index).is_none() {
                problems.add(format!(
                    "service `{name}` is number {index} from `http.bind` = \"{}\", above the last port; write \
                     `bind` under `[service.{name}.http]`",
                    self.base.http.bind
                ));
            }
            for other in &all {
                let (a, b) = (&other.name, &config.name);
                if other.http.bind == config.http.bind && config.http.bind.port != 0 {
                    problems.add(format!(
                        "services `{a}` and `{b}` both listen on `http.bind` = \"{}\"; write another `bind` under \
                         `[service.{b}.http]`",
                        config.http.bind
                    ));
                }
                if other.database.url == config.database.url
                    && matches!(config.database.url, DatabaseUrl::Sqlite(_))
                {
                    problems.add(format!(
                        "services `{a}` and `{b}` would share `database.url` = \"{}\"; write `{{service}}` for the \
                         service's name, as in \"sqlite://data/{{service}}.db\"",
                        config.database.url
                    ));
                }
            }
            all.push(config);
        }
        problems.into_result()?;
        Ok(all)
    }

    fn has_own(&self, service: &str, path: &str) -> bool {
        let own = self.services.get(&fold(service));
        own.is_some_and(|o| o.entries.iter().any(|(key, _)| KEYS[*key].path == path))
    }
}

/// A service's name as variables can write it: `Foo-bar` is `foo_bar`.
fn fold(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
        .to_ascii_lowercase()
}

fn shifted(port: u16, index: usize) -> Option<u16> {
    port.checked_add(u16::try_from(index).ok()?)
}

/// Writes the service's name for `{service}`.
fn named(path: &std::path::Path, service: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => PathBuf::from(text.replace("{service}", service)),
        None => path.to_owned(),
    }
}
