//! esrs.

use std::{convert::Infallible, fmt};

use async_trait::async_trait;
use esrs::{
    Aggregate, AggregateState,
    manager::AggregateManager,
    store::postgres::{PgStore, PgStoreBuilder},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Result, Subject,
    floor::{database, pool},
    note,
};

#[derive(Debug, Serialize, Deserialize)]
struct Changed {
    balance: i64,
    note: String,
}

struct Account;

#[derive(Debug)]
struct Refused(Infallible);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for Refused {}

impl Aggregate for Account {
    const NAME: &'static str = "account";
    type State = i64;
    type Command = ();
    type Event = Changed;
    type Error = Refused;

    fn handle_command(state: &i64, (): ()) -> std::result::Result<Vec<Changed>, Refused> {
        Ok(vec![Changed {
            balance: state + 1,
            note: note(),
        }])
    }

    fn apply_event(_: i64, event: Changed) -> i64 {
        event.balance
    }
}

pub(crate) struct Esrs {
    manager: AggregateManager<PgStore<Account>>,
}

impl Esrs {
    pub(crate) async fn open(server: &str) -> Result<Self> {
        let pool = pool(&database(server, "peers_esrs").await?).await?;
        let store = PgStoreBuilder::new(pool).try_build().await?;
        Ok(Self {
            manager: AggregateManager::new(store),
        })
    }
}

#[async_trait]
impl Subject for Esrs {
    fn name(&self) -> &'static str {
        "esrs"
    }

    async fn create(&self) -> Result<Uuid> {
        let state = AggregateState::default();
        let id = *state.id();
        self.manager.handle_command(state, ()).await??;
        Ok(id)
    }

    async fn change(&self, id: Uuid) -> Result<()> {
        loop {
            let state = self.manager.load(id).await?.ok_or("no account")?;
            // Any error of the append is taken for a conflict: esrs does not tell them apart.
            if self.manager.handle_command(state, ()).await.is_ok() {
                return Ok(());
            }
        }
    }

    async fn replay(&self, id: Uuid) -> Result<i64> {
        let state = self.manager.load(id).await?.ok_or("no account")?;
        Ok(*state.inner())
    }

    async fn load(&self, _id: Uuid) -> Result<Option<i64>> {
        Ok(None)
    }

    async fn catch_up(&self) -> Result<Option<usize>> {
        Ok(None)
    }
}
