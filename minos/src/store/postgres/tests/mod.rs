//! The suite, and what only PostgreSQL can get wrong.

mod server;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use self::server::Database;
use super::Options;
use crate::store::{
    self,
    conformance::{Fixture, suite},
};

#[async_trait]
impl Fixture for Database {
    async fn store(&self) -> Arc<dyn store::Store> {
        self.open(patient()).await
    }

    async fn reopen(&self) -> Option<Arc<dyn store::Store>> {
        Some(self.open(patient()).await)
    }
}

/// Tests share a server: somebody else's transaction may hide what was committed for a while.
fn patient() -> Options {
    Options {
        settle: Duration::from_secs(30),
        pool: 4,
        ..Options::default()
    }
}

suite!(postgres_store, Database::new().await);
