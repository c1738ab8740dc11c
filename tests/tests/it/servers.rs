//! A PostgreSQL and a Kafka of their own, for tests that stop them.

use std::{collections::BTreeMap, path::PathBuf};

use examples_client::Result;
use tempfile::TempDir;
use tokio::process::Command;

use crate::proxy::Proxy;

/// Two servers behind a network that can fail; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    folder: TempDir,
    variables: BTreeMap<String, String>,
    /// In front of PostgreSQL.
    pub(crate) postgres: Proxy,
    /// In front of Kafka.
    pub(crate) kafka: Proxy,
}

fn script() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services"))
}

impl Servers {
    pub(crate) async fn start() -> Result<Self> {
        // A socket's path has at most 107 bytes, so not below a long folder for temporary files.
        let folder = tempfile::Builder::new()
            .prefix("minos")
            .tempdir_in("/tmp")?;
        let mut servers = Self {
            folder,
            variables: BTreeMap::new(),
            postgres: Proxy::bind().await?,
            kafka: Proxy::bind().await?,
        };
        servers.run(&["up"]).await?;
        for line in servers.run(&["env"]).await?.lines() {
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                servers.variables.insert(name.to_owned(), value.to_owned());
            }
        }
        let behind = servers.variable("MINOS_TEST_KAFKA_BEHIND")?;
        servers.kafka.forward(&behind);
        let url = servers.variable("MINOS_TEST_POSTGRES")?;
        let server = url
            .split_once('@')
            .and_then(|(_, rest)| rest.split_once('/'))
            .ok_or("no host in the URL of PostgreSQL")?
            .0
            .to_owned();
        servers.postgres.forward(&server);
        Ok(servers)
    }

    fn variable(&self, name: &str) -> Result<String> {
        let value = self.variables.get(name).cloned();
        value.ok_or_else(|| format!("scripts/services env has no {name}").into())
    }

    /// The URL of a database, behind the proxy and not.
    pub(crate) async fn database(&self, name: &str) -> Result<(String, String)> {
        let url = self.run(&["database", name]).await?.trim().to_owned();
        let (user, rest) = url.split_once('@').ok_or("no user in the URL")?;
        let (_, database) = rest.split_once('/').ok_or("no database in the URL")?;
        let port = self.postgres.port();
        Ok((format!("{user}@127.0.0.1:{port}/{database}"), url))
    }

    /// `scripts/services` for these two.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(script())
            .args(args)
            .env("MINOS_SERVICES_DIR", self.folder.path())
            .env("MINOS_KAFKA_PROXY", self.kafka.port().to_string())
            .output()
            .await?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("scripts/services {}: {why}", args.join(" ")).into())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let down = std::process::Command::new(script())
            .arg("down")
            .env("MINOS_SERVICES_DIR", self.folder.path())
            .output();
        if let Err(e) = down {
            eprintln!("scripts/services down: {e}");
        }
    }
}
