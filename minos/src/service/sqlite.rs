//! The embedded store.

use std::{path::Path, sync::Arc};

use crate::{
    config,
    error::{Failure, Kind, Result},
    store::{
        Store,
        sqlite::{self, Options},
    },
};

pub(super) async fn open(path: &Path, settings: &config::Database) -> Result<Arc<dyn Store>> {
    let options = Options::default().readers(settings.pool);
    let store = sqlite::Store::open(path, options).await.map_err(|e| {
        let text = format!("database.url = \"sqlite://{}\": {e}; name a file that can be written", path.display());
        Failure::new(Kind::Config, text).because(e)
    })?;
    Ok(Arc::new(store))
}
