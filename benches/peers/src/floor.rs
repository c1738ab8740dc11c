//! The floor: sqlx by hand, one row per commit.

use async_trait::async_trait;
use sqlx::{PgPool, Row, postgres::PgPoolOptions};
use uuid::Uuid;

use crate::{Result, Subject, note};

/// A new database of this name; answers its URL.
pub(crate) async fn database(server: &str, name: &str) -> Result<String> {
    let pool = PgPool::connect(server).await?;
    sqlx::raw_sql(&format!("drop database if exists {name} with (force)"))
        .execute(&pool)
        .await?;
    sqlx::raw_sql(&format!("create database {name}"))
        .execute(&pool)
        .await?;
    pool.close().await;
    let (head, _) = server
        .rsplit_once('/')
        .ok_or("no database in MINOS_TEST_POSTGRES")?;
    Ok(format!("{head}/{name}"))
}

pub(crate) async fn pool(url: &str) -> Result<PgPool> {
    let options = PgPoolOptions::new()
        .max_connections(64)
        .test_before_acquire(false);
    Ok(options.connect(url).await?)
}

pub(crate) struct Floor {
    pool: PgPool,
}

impl Floor {
    pub(crate) async fn open(server: &str) -> Result<Self> {
        let pool = pool(&database(server, "peers_floor").await?).await?;
        let sql = "create table events (position bigint generated always as identity primary key, \
                   id uuid not null, version bigint not null, payload text not null, unique (id, version))";
        sqlx::raw_sql(sql).execute(&pool).await?;
        Ok(Self { pool })
    }

    async fn events(&self, id: Uuid) -> Result<(i64, i64)> {
        let rows =
            sqlx::query("select version, payload from events where id = $1 order by version")
                .bind(id)
                .fetch_all(&self.pool)
                .await?;
        let (mut version, mut balance) = (0, 0);
        for row in rows {
            version = row.get(0);
            let payload: serde_json::Value = serde_json::from_str(row.get(1))?;
            balance = payload["balance"].as_i64().ok_or("no balance")?;
        }
        Ok((version, balance))
    }

    async fn append(&self, id: Uuid, version: i64, balance: i64) -> Result<bool> {
        let payload = serde_json::json!({ "balance": balance, "note": note() }).to_string();
        let done = sqlx::query(
            "insert into events (id, version, payload) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(id)
        .bind(version)
        .bind(payload)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

#[async_trait]
impl Subject for Floor {
    fn name(&self) -> &'static str {
        "sqlx by hand"
    }

    async fn create(&self) -> Result<Uuid> {
        let id = Uuid::now_v7();
        self.append(id, 1, 0).await?;
        Ok(id)
    }

    async fn change(&self, id: Uuid) -> Result<()> {
        loop {
            let (version, balance) = self.events(id).await?;
            if self.append(id, version + 1, balance + 1).await? {
                return Ok(());
            }
        }
    }

    async fn replay(&self, id: Uuid) -> Result<i64> {
        Ok(self.events(id).await?.1)
    }

    async fn load(&self, _id: Uuid) -> Result<Option<i64>> {
        Ok(None)
    }

    async fn catch_up(&self) -> Result<Option<usize>> {
        let (mut at, mut read) = (0_i64, 0);
        loop {
            let rows = sqlx::query("select position, id, version, payload from events where position > $1 order by position limit 1000")
                .bind(at)
                .fetch_all(&self.pool)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(Some(read));
            };
            at = last.get(0);
            for row in &rows {
                let _: serde_json::Value = serde_json::from_str(row.get(3))?;
                read += 1;
            }
        }
    }
}
