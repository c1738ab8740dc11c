//! The suite, and what only SQLite can get wrong.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Options, Store};
use crate::store::{
    self,
    conformance::{Fixture, suite},
};

/// A file in a folder of its own.
struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> String {
        self.folder
            .path()
            .join("data/store.db")
            .display()
            .to_string()
    }

    async fn open(&self, options: Options) -> Arc<Store> {
        Arc::new(Store::open(&self.path(), options).await.unwrap())
    }
}

#[async_trait]
impl Fixture for File {
    async fn store(&self) -> Arc<dyn store::Store> {
        self.open(Options::default()).await
    }

    async fn reopen(&self) -> Option<Arc<dyn store::Store>> {
        Some(self.open(Options::default()).await)
    }
}

suite!(sqlite_store, File::new());
