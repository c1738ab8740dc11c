//! Reading messages: one statement each, so that no snapshot is held while somebody waits.

use sqlx::{
    Row, SqlitePool,
    sqlite::{SqlitePoolOptions, SqliteRow},
};

use super::{error, file::File, member::Want};
use crate::{
    broker::{Delivery, Origin, Result, Undecodable, wire},
    message::Message,
};

/// For each wanted partition the next messages, through the index and then by their offset.
const FETCH: &str = "
    SELECT m.offset, m.topic, m.partition, m.format, m.envelope, m.payload
    FROM json_each(?1) AS want
    CROSS JOIN messages AS m ON m.offset IN (
        SELECT offset FROM messages
        WHERE topic = want.value ->> 0 AND partition = want.value ->> 1 AND offset > want.value ->> 2
        ORDER BY offset LIMIT ?2
    )";

/// A few connections that only read.
pub(super) struct Reader {
    pool: SqlitePool,
}

impl Reader {
    pub(super) fn new(file: &File) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_lazy_with(file.reading());
        Self { pool }
    }

    /// A topic's id and its number of partitions.
    pub(super) async fn topic(&self, name: &str) -> Result<Option<(i64, u32)>> {
        let found = "SELECT id, partitions FROM topics WHERE name = ?";
        let found = sqlx::query_as(found).bind(name);
        found.fetch_optional(&self.pool).await.map_err(error::from)
    }

    /// Up to `limit` messages of each partition, oldest first.
    pub(super) async fn fetch(&self, wants: &[Want], limit: usize) -> Result<Vec<Delivery>> {
        let places: Vec<_> = wants
            .iter()
            .map(|w| (w.topic.id, w.partition, w.after))
            .collect();
        let places =
            serde_json::to_string(&places).map_err(|e| crate::broker::Error::Backend(e.into()))?;
        let rows = sqlx::query(FETCH)
            .bind(places)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool);
        let rows = rows.await.map_err(error::from)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(delivery(row, wants).map_err(error::from)?);
        }
        found.sort_by_key(|d| d.origin.offset);
        Ok(found)
    }

    pub(super) async fn check(&self) -> Result<()> {
        let topics = "SELECT count(*) FROM topics";
        let topics = sqlx::query_scalar::<_, i64>(topics).fetch_one(&self.pool);
        topics.await.map(drop).map_err(error::from)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

fn delivery(row: &SqliteRow, wants: &[Want]) -> sqlx::Result<Delivery> {
    let (id, partition): (i64, u32) = (row.try_get(1)?, row.try_get(2)?);
    let topic = wants.iter().find(|w| w.topic.id == id);
    let origin = Origin {
        topic: topic.map_or_else(String::new, |w| w.topic.name.clone()),
        partition,
        offset: row.try_get(0)?,
    };
    let message = content(&origin.topic, row);
    Ok(Delivery { origin, message })
}

/// Whatever is in the row, it becomes a delivery: the messages behind it must not wait.
fn content(topic: &str, row: &SqliteRow) -> Result<Message, Undecodable> {
    let unread = |e: sqlx::Error| Undecodable {
        text: String::new(),
        reason: format!("the row cannot be read: {e}"),
        bytes: Vec::new(),
    };
    let format = row.try_get(3).map_err(unread)?;
    let envelope = row.try_get(4).map_err(unread)?;
    let payload = row.try_get(5).map_err(unread)?;
    wire::decode(topic, format, envelope, payload)
}
