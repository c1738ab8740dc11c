//! Minos on PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use minos::{
    Builder, Running,
    config::Config,
    prelude::*,
    store::{Position, Store, StreamId},
};

use crate::{Subject, floor::database, note};

/// About 200 bytes of JSON.
#[aggregate]
pub struct Account {
    /// How much there is.
    pub balance: i64,
    /// Why.
    pub note: String,
}

/// A service needs a handler; the units of the bench are its own.
#[derive(Debug, Default)]
pub struct Accounts;

#[command_service]
impl Accounts {
    #[enroute::rest::command("/accounts", "POST")]
    async fn open(&self, cx: &Context) -> Result<()> {
        let note = note();
        Account::create(cx, Account { balance: 0, note }).map(drop)
    }
}

pub(crate) struct Ours {
    running: Running,
    store: Arc<dyn Store>,
}

impl Ours {
    pub(crate) async fn open(server: &str) -> crate::Result<Self> {
        let url = database(server, "peers_minos").await?;
        let config = Config::in_memory().set("database.url", &url)?;
        let running = Builder::new([crate::service()])
            .config(config)
            .start()
            .await?;
        let store = running.store("peers").ok_or("no store")?;
        Ok(Self { running, store })
    }
}

#[async_trait]
impl Subject for Ours {
    fn name(&self) -> &'static str {
        "minos"
    }

    async fn create(&self) -> crate::Result<Uuid> {
        let create = |cx: &Context| {
            let account = Account {
                balance: 0,
                note: note(),
            };
            Account::create(cx, account).map(|account| account.uuid())
        };
        let id = self
            .running
            .unit("peers", move |cx| Box::pin(async move { create(cx) }));
        Ok(id.await?)
    }

    async fn change(&self, id: Uuid) -> crate::Result<()> {
        let change = self.running.unit("peers", move |cx| {
            Box::pin(async move {
                let mut account = Account::get(cx, id).await?;
                account.balance += 1;
                account.note = note();
                account.save(cx)
            })
        });
        Ok(change.await?)
    }

    async fn replay(&self, id: Uuid) -> crate::Result<i64> {
        let events = self
            .store
            .stream(&StreamId::new("Account", id), 0, u32::MAX)
            .await?;
        let mut balance = 0;
        for event in events {
            let event: serde_json::Value = event.payload.decode()?;
            balance = event["balance"].as_i64().unwrap_or(balance);
        }
        Ok(balance)
    }

    async fn load(&self, id: Uuid) -> crate::Result<Option<i64>> {
        let load = self.running.unit("peers", move |cx| {
            Box::pin(async move { Ok(Account::get(cx, id).await?.balance) })
        });
        Ok(Some(load.await?))
    }

    async fn catch_up(&self) -> crate::Result<Option<usize>> {
        let (mut at, mut read) = (Position::START, 0);
        loop {
            let events = self.store.events(at, 1000).await?;
            let Some(last) = events.last() else {
                return Ok(Some(read));
            };
            at = last.position;
            for event in &events {
                let _: serde_json::Value = event.payload.decode()?;
                read += 1;
            }
        }
    }
}
