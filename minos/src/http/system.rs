//! `/system/..`: what operators and their probes ask.

use std::{collections::BTreeMap, time::Duration};

use actix_web::http::header;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    App,
    reply::Reply,
    serve::{nothing, other_verb},
};
use crate::{
    error::{Error, Failure, Kind, Result},
    health::State,
    payload::Payload,
    store::{self, SagaFilter, SagaRow},
};

/// How long the store may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many sagas are listed unless the query says otherwise, and at most.
const LISTED: (u32, u32) = (100, 1000);

/// A question of an operator.
#[derive(Debug)]
pub(super) enum Request {
    Health,
    Live,
    Sagas(SagaFilter),
    Saga(Uuid),
}

/// What `/system/health` answers.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    live: bool,
    ready: bool,
    dependencies: BTreeMap<String, State>,
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
    live: bool,
}

#[derive(Serialize)]
struct Sagas {
    sagas: Vec<Map<String, Value>>,
}

impl Request {
    /// Reads a question from a path below `/system`.
    pub(super) fn read(
        verb: &str,
        path: &[String],
        query: Vec<(String, String)>,
        id: Uuid,
    ) -> Result<Self, Reply> {
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let request = match path.as_slice() {
            ["health"] => Ok(Request::Health),
            ["health", "live"] => Ok(Request::Live),
            ["sagas"] => filter(query).map(Request::Sagas),
            ["sagas", saga] => saga_id(saga).map(Request::Saga),
            _ => return Err(nothing(id)),
        };
        if !matches!(verb, "GET" | "HEAD") {
            return Err(other_verb(verb, ["GET", "HEAD"], id));
        }
        request.map_err(|e| Reply::failed(&e.into_failure(), id))
    }

    pub(super) async fn answer(self, app: &App, id: Uuid) -> Reply {
        let reply = match self {
            Request::Health => Ok(health(app, id).await),
            Request::Live => {
                let live = Live {
                    status: "live",
                    live: true,
                };
                Ok(Reply::json(200, &live, id))
            }
            Request::Sagas(filter) => sagas(app, &filter, id).await,
            Request::Saga(saga) => saga_of(app, saga, id).await,
        };
        reply
            .unwrap_or_else(|e| Reply::failed(&e.into_failure(), id))
            .with(header::CACHE_CONTROL, "no-store")
    }
}

async fn health(app: &App, id: Uuid) -> Reply {
    let store = store_state(app).await;
    let ready = app.health.ready() && store == State::Up;
    let mut dependencies = app.health.parts();
    dependencies.insert("store".to_owned(), store);
    let status = match ready {
        true => "ready",
        false if app.health.is_stopping() => "stopping",
        false
            if dependencies
                .values()
                .any(|s| matches!(s, State::Down { .. })) =>
        {
            "down"
        }
        false => "starting",
    };
    let health = Health {
        status,
        live: true,
        ready,
        dependencies,
    };
    Reply::json(if ready { 200 } else { 503 }, &health, id)
}

async fn store_state(app: &App) -> State {
    let reason = match tokio::time::timeout(PATIENCE, app.core.store.health()).await {
        Ok(Ok(())) => return State::Up,
        Ok(Err(e)) => {
            tracing::warn!(error = ?e, "the store is not well");
            match e {
                store::Error::Unavailable(_) => "the store is not available",
                _ => "the store failed; the log says why",
            }
        }
        Err(_) => "the store does not answer",
    };
    State::Down {
        reason: reason.to_owned(),
    }
}

fn filter(query: Vec<(String, String)>) -> Result<SagaFilter> {
    let mut filter = SagaFilter {
        limit: LISTED.0,
        ..SagaFilter::default()
    };
    for (name, value) in query {
        match name.as_str() {
            "status" => filter.status = Some(value),
            "name" => filter.name = Some(value),
            "limit" => {
                let limit = value.parse().ok().filter(|n| (1..=LISTED.1).contains(n));
                filter.limit = limit.ok_or_else(|| {
                    let text = format!("a limit is a number from 1 to {}", LISTED.1);
                    Failure::new(Kind::Invalid, text).at("/limit")
                })?;
            }
            _ => {
                let text = "unknown parameter; there is `status`, `name`, `limit`";
                let failure = Failure::new(Kind::Invalid, text).at(format!("/{name}"));
                return Err(failure.into());
            }
        }
    }
    Ok(filter)
}

fn saga_id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| {
        Failure::new(Kind::Invalid, "the id of a saga is a UUID")
            .at("/id")
            .into()
    })
}

async fn sagas(app: &App, filter: &SagaFilter, id: Uuid) -> Result<Reply> {
    let rows = app.core.store.sagas(filter).await?;
    let sagas = rows.iter().map(shown).collect::<Result<_>>()?;
    Ok(Reply::json(200, &Sagas { sagas }, id))
}

async fn saga_of(app: &App, saga: Uuid, id: Uuid) -> Result<Reply> {
    let Some(row) = app.core.store.saga(saga).await? else {
        return Err(Error::new(Kind::NotFound, "there is no such saga"));
    };
    let history = app.core.store.saga_history(saga).await?;
    let history: Vec<Value> = history.iter().map(stored).collect::<Result<_>>()?;
    let mut shown = shown(&row)?;
    shown.insert("history".to_owned(), Value::Array(history));
    Ok(Reply::json(200, &shown, id))
}

/// The row with its body merged in; the row's own fields win.
fn shown(row: &SagaRow) -> Result<Map<String, Value>> {
    let mut all = match stored(&row.body)? {
        Value::Object(body) => body,
        Value::Null => Map::new(),
        other => Map::from_iter([("state".to_owned(), other)]),
    };
    let time = |at: chrono::DateTime<chrono::Utc>| {
        Value::from(at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    };
    all.extend([
        ("id".to_owned(), Value::from(row.id.to_string())),
        ("name".to_owned(), Value::from(row.name.clone())),
        ("status".to_owned(), Value::from(row.status.clone())),
        ("version".to_owned(), Value::from(row.version)),
        ("due_at".to_owned(), row.due_at.map_or(Value::Null, time)),
        ("created_at".to_owned(), time(row.created_at)),
        ("updated_at".to_owned(), time(row.updated_at)),
    ]);
    Ok(all)
}

fn stored(payload: &Payload) -> Result<Value> {
    payload.decode().map_err(|e: Error| {
        Failure::new(Kind::Corrupt, "a stored saga is not JSON")
            .because(e)
            .into()
    })
}
