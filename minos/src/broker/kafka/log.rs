//! What librdkafka says goes through `tracing`.

use rdkafka::{
    client::ClientContext, config::RDKafkaLogLevel as Level, consumer::ConsumerContext,
    error::KafkaError,
};

/// One line of the library. It calls an error what it tries again by itself, such as a refused connection.
pub(super) fn line(level: Level, facility: &str, text: &str) {
    // One set of properties serves producers and consumers; each says which are not for it.
    if facility == "CONFWARN" {
        tracing::debug!(target: "minos::kafka", facility, "{text}");
        return;
    }
    match level {
        Level::Emerg | Level::Alert | Level::Critical => {
            tracing::error!(target: "minos::kafka", facility, "{text}");
        }
        Level::Error | Level::Warning => {
            tracing::warn!(target: "minos::kafka", facility, "{text}");
        }
        Level::Notice | Level::Info => tracing::debug!(target: "minos::kafka", facility, "{text}"),
        Level::Debug => tracing::trace!(target: "minos::kafka", facility, "{text}"),
    }
}

/// An event of a client: calls that suffer from it say so themselves.
pub(super) fn event(error: &KafkaError, reason: &str) {
    tracing::debug!(target: "minos::kafka", %error, "{reason}");
}

/// A client without callbacks of its own.
#[derive(Debug)]
pub(super) struct Quiet;

impl ConsumerContext for Quiet {}

impl ClientContext for Quiet {
    fn log(&self, level: Level, facility: &str, text: &str) {
        line(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        event(&error, reason);
    }
}
