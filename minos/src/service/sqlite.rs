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
    let options = Options {
        readers: settings.pool,
        ..Options::default()
    };
    let url = format!("sqlite://{}", path.display());
    let store = sqlite::Store::open(&url, options).await.map_err(|e| {
        let text = format!("database.url = \"{url}\": {e}; name a file that can be written");
        Failure::new(Kind::Config, text).because(e)
    })?;
    Ok(Arc::new(store))
}
