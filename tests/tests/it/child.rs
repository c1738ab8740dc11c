//! Services in a child process.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use examples_client::{Client, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::stack::Stack;

const TRIAL: &str = env!("CARGO_BIN_EXE_trial");

/// A process that runs services, killed when dropped.
pub(crate) struct Services {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    urls: BTreeMap<String, String>,
}

/// How a start went.
pub(crate) enum Start {
    Ready(Box<Services>),
    /// The fuse blew while starting; the line says where.
    Crashed(String),
}

impl Services {
    /// Starts services; `fuse` is the moment at which they die (see `trial`; empty: never).
    pub(crate) async fn start(stack: &Stack, services: &str, fuse: &str) -> Result<Start> {
        Self::spawn(Command::new(TRIAL), stack, services, fuse).await
    }

    /// Starts services whose files cannot grow beyond so many KiB: the disk is full.
    pub(crate) async fn on_a_full_disk(stack: &Stack, services: &str, kib: u32) -> Result<Self> {
        // Bash counts in KiB; without the trap the signal would end the process before the error is seen.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec '{TRIAL}'");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]);
        match Self::spawn(shell, stack, services, "").await? {
            Start::Ready(services) => Ok(*services),
            Start::Crashed(line) => Err(format!("the services did not start: {line}").into()),
        }
    }

    async fn spawn(
        mut command: Command,
        stack: &Stack,
        services: &str,
        fuse: &str,
    ) -> Result<Start> {
        let mut process = command
            .env("TRIAL_SERVICES", services)
            .env("TRIAL_FUSE", fuse)
            .envs(stack.variables.iter().cloned())
            .env("MINOS_HTTP_BIND", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no stdout")?;
        let mut services = Self {
            process,
            lines: BufReader::new(stdout).lines(),
            urls: BTreeMap::new(),
        };
        let line = services.line().await?;
        let Some(urls) = line.strip_prefix("ready ") else {
            return Ok(Start::Crashed(line));
        };
        services.urls = urls
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
            .collect();
        Ok(Start::Ready(Box::new(services)))
    }

    /// Starts services that do not crash.
    pub(crate) async fn running(stack: &Stack, services: &str) -> Result<Self> {
        match Self::start(stack, services, "").await? {
            Start::Ready(services) => Ok(*services),
            Start::Crashed(line) => Err(format!("the services did not start: {line}").into()),
        }
    }

    /// The next line that the process prints.
    async fn line(&mut self) -> Result<String> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line());
        Ok(next
            .await??
            .unwrap_or_else(|| "the process ended without a word".to_owned()))
    }

    pub(crate) fn client(&self, service: &str) -> Client {
        Client::new(self.urls.get(service).cloned().unwrap_or_default())
    }

    /// A client of each service.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (String, Client)> + '_ {
        let urls = self.urls.iter();
        urls.map(|(name, url)| (name.clone(), Client::new(url.clone())))
    }

    /// Waits until the fuse blows; answers where.
    pub(crate) async fn crashed(mut self) -> Result<String> {
        let line = self.line().await?;
        self.process.wait().await?;
        Ok(line)
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) -> Result<()> {
        let id = self.process.id().ok_or("the process has ended")?;
        // The shell has a `kill` of its own; the program is missing on a small system.
        Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .await?;
        Ok(())
    }

    /// Waits for the end; answers the exit code, or nothing if a signal ended it.
    pub(crate) async fn wait(&mut self) -> Result<Option<i32>> {
        let status = tokio::time::timeout(Duration::from_secs(30), self.process.wait()).await??;
        Ok(status.code())
    }
}
