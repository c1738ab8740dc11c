//! Read models: rows that a query service keeps for its answers.

use std::future::Future;

use crate::{
    context::Context,
    error::Result,
    model::Model,
    payload::Payload,
    store::{Find, ViewWrite},
};

/// A row of a view. `#[read_model]` writes it.
///
/// Events of one aggregate come in order, those of several run beside each other, and what is read of a row is not
/// guarded. So let a row belong to one aggregate; a sum over many is a search over their rows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a read model",
    label = "not a read model",
    note = "add `#[read_model]` to `{Self}` and `#[key]` to one of its fields"
)]
pub trait ReadModel: Model {
    /// The view's name.
    const NAME: &'static str;
    /// The type of the key.
    type Key: ToString + Send + Sync;

    /// The key of this row.
    fn key(&self) -> String;

    /// Stages this row; one with the same key is replaced.
    ///
    /// # Errors
    /// If the row cannot be stored as JSON.
    fn upsert(cx: &Context, row: &Self) -> Result<()> {
        let write = ViewWrite {
            view: Self::NAME.to_owned(),
            key: row.key(),
            row: Some(Payload::encode(row)?),
        };
        cx.stage_view(write);
        Ok(())
    }

    /// Stages the removal of a row.
    ///
    /// # Errors
    /// None today; the signature leaves room for stores that check keys.
    fn delete(cx: &Context, key: &Self::Key) -> Result<()> {
        cx.stage_view(ViewWrite {
            view: Self::NAME.to_owned(),
            key: key.to_string(),
            row: None,
        });
        Ok(())
    }

    /// Reads a row; what this unit of work staged is seen.
    fn get(cx: &Context, key: &Self::Key) -> impl Future<Output = Result<Option<Self>>> + Send {
        let key = key.to_string();
        async move {
            let row = match cx.staged_view(Self::NAME, &key) {
                Some(staged) => staged,
                None => cx.store().view(Self::NAME, &key).await?,
            };
            row.map(|row| row.decode()).transpose()
        }
    }

    /// All rows, by key, at most `limit`. What this unit of work staged is not seen.
    fn list(cx: &Context, limit: u32) -> impl Future<Output = Result<Vec<Self>>> + Send {
        async move {
            let find = Find {
                limit,
                ..Find::all(Self::NAME)
            };
            let rows = cx.store().find_views(&find).await?;
            rows.into_iter().map(|(_, row)| row.decode()).collect()
        }
    }
}
