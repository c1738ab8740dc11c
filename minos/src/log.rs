//! Where the log goes.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Sends the log to standard error, unless the program set up a subscriber of its own.
pub(crate) fn init(config: &Config) {
    let log = &config.settings().log;
    let Ok(filter) = EnvFilter::try_new(&log.level) else {
        return;
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let outcome = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    // An error means that there is a subscriber: it stays.
    drop(outcome);
}
