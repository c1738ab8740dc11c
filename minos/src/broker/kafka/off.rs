//! Clients of librdkafka, off the workers of the runtime.

use std::{ops::Deref, sync::Arc, thread};

use crate::broker::Result;

use super::error;

/// A client. Closing one waits for its threads, so the last clone of it is dropped on a thread of its own.
pub(super) struct Off<T: Send + Sync + 'static>(Option<Arc<T>>);

impl<T: Send + Sync + 'static> Off<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(Arc::new(client)))
    }

    /// Whether both are clones of one client.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Runs what blocks.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Result<R> {
        let client = self.clone();
        tokio::task::spawn_blocking(move || work(&client))
            .await
            .map_err(error::ended)
    }
}

impl<T: Send + Sync + 'static> Clone for Off<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Deref for Off<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(client) => client,
            None => unreachable!("only `drop` takes it"),
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Off<T> {
    fn drop(&mut self) {
        if let Some(last) = self.0.take().and_then(Arc::into_inner) {
            let close = thread::Builder::new().name("minos-kafka-close".to_owned());
            // If there is no thread to be had, what it would have dropped is dropped here.
            drop(close.spawn(move || drop(last)));
        }
    }
}
