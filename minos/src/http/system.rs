//! `/system/..`: what operators and their probes ask.

use std::{collections::BTreeMap, time::Duration};

use actix_web::http::header;
use serde::Serialize;
use uuid::Uuid;

use super::{
    App,
    reply::Reply,
    serve::{nothing, other_verb},
};
use crate::{health::State, store};

/// How long the store may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// A question of an operator.
#[derive(Debug)]
pub(super) enum Request {
    Health,
    Live,
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

impl Request {
    /// Reads a question from a path below `/system`.
    pub(super) fn read(verb: &str, path: &[String], id: Uuid) -> Result<Self, Reply> {
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let request = match path.as_slice() {
            ["health"] => Request::Health,
            ["health", "live"] => Request::Live,
            _ => return Err(nothing(id)),
        };
        if !matches!(verb, "GET" | "HEAD") {
            return Err(other_verb(verb, ["GET", "HEAD"], id));
        }
        Ok(request)
    }

    pub(super) async fn answer(self, app: &App, id: Uuid) -> Reply {
        let reply = match self {
            Request::Health => health(app, id).await,
            Request::Live => {
                let live = Live {
                    status: "live",
                    live: true,
                };
                Reply::json(200, &live, id)
            }
        };
        reply.with(header::CACHE_CONTROL, "no-store")
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
