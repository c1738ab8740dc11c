//! cqrs-es with postgres-es.

use std::{convert::Infallible, fmt};

use async_trait::async_trait;
use cqrs_es::{
    Aggregate, AggregateContext, AggregateError, CqrsFramework, DomainEvent, EventStore,
    event_sink::EventSink,
    persist::{PersistedEventRepository, PersistedEventStore},
};
use postgres_es::{PostgresCqrs, PostgresEventRepository};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Result, Subject,
    floor::{database, pool},
    note,
};

const TABLES: &str = "
create table events (aggregate_type text not null, aggregate_id text not null, sequence bigint not null,
    event_type text not null, event_version text not null, payload json not null, metadata json not null,
    primary key (aggregate_type, aggregate_id, sequence));
create table snapshots (aggregate_type text not null, aggregate_id text not null, last_sequence bigint not null,
    current_snapshot bigint not null, payload json not null,
    primary key (aggregate_type, aggregate_id, last_sequence));";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Changed {
    Changed { balance: i64, note: String },
}

impl DomainEvent for Changed {
    fn event_type(&self) -> String {
        "Changed".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Debug)]
struct Change;

#[derive(Debug)]
struct Refused(Infallible);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for Refused {}

impl Aggregate for Account {
    const TYPE: &'static str = "Account";
    type Command = Change;
    type Event = Changed;
    type Error = Refused;
    type Services = ();

    async fn handle(
        &mut self,
        _: Change,
        (): &(),
        sink: &EventSink<Self>,
    ) -> std::result::Result<(), Refused> {
        let event = Changed::Changed {
            balance: self.balance + 1,
            note: note(),
        };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Changed) {
        let Changed::Changed { balance, .. } = event;
        self.balance = balance;
    }
}

pub(crate) struct CqrsEs {
    plain: PostgresCqrs<Account>,
    events: PersistedEventStore<PostgresEventRepository, Account>,
    repository: PostgresEventRepository,
}

impl CqrsEs {
    pub(crate) async fn open(server: &str) -> Result<Self> {
        let pool = pool(&database(server, "peers_cqrs").await?).await?;
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        let repository = || PostgresEventRepository::new(pool.clone());
        Ok(Self {
            plain: CqrsFramework::new(
                PersistedEventStore::new_event_store(repository()),
                vec![],
                (),
            ),
            events: PersistedEventStore::new_event_store(repository()),
            repository: repository(),
        })
    }
}

#[async_trait]
impl Subject for CqrsEs {
    fn name(&self) -> &'static str {
        "cqrs-es + postgres-es"
    }

    async fn create(&self) -> Result<Uuid> {
        let id = Uuid::now_v7();
        self.plain.execute(&id.to_string(), Change).await?;
        Ok(id)
    }

    async fn change(&self, id: Uuid) -> Result<()> {
        loop {
            match self.plain.execute(&id.to_string(), Change).await {
                Err(AggregateError::AggregateConflict) => {}
                done => return Ok(done?),
            }
        }
    }

    async fn replay(&self, id: Uuid) -> Result<i64> {
        let mut context = self.events.load_aggregate(&id.to_string()).await?;
        Ok(context.aggregate().balance)
    }

    async fn load(&self, _id: Uuid) -> Result<Option<i64>> {
        // Its snapshots are written by another kind of store, which writes slower: not measured here.
        Ok(None)
    }

    async fn catch_up(&self) -> Result<Option<usize>> {
        let mut stream = self.repository.stream_all_events::<Account>().await?;
        let mut read = 0;
        while let Some(event) = stream.next::<Account>(&[]).await {
            event?;
            read += 1;
        }
        Ok(Some(read))
    }
}
