//! `/system/sagas`: what operators see of sagas, and do with them.

use actix_web::{HttpRequest, http::header::CACHE_CONTROL, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    App, body, operator,
    reply::Reply,
    serve::{nothing, other_verb},
};
use crate::{
    error::{Error, Failure, Kind, Result},
    payload::Payload,
    runtime::{Decision, Sagas},
    store::{SagaFilter, SagaRow},
};

/// How many sagas are listed unless the query says otherwise, and at most.
const LISTED: (u32, u32) = (100, 1000);

/// What an operator wants.
#[derive(Debug)]
pub(super) enum Request {
    List(SagaFilter),
    Show(Uuid),
    Retry(Uuid, Decision),
    Cancel(Uuid, Decision),
    /// The step, if it is named.
    Skip(Uuid, Option<String>, Decision),
    /// Its name and content.
    Signal(Uuid, (String, Payload), Decision),
}

/// The body of a decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    by: String,
    #[serde(default)]
    reason: String,
    /// Which step to skip.
    #[serde(default)]
    step: Option<String>,
    /// What the signal says.
    #[serde(default)]
    content: Value,
}

/// Whether a path is one of these.
pub(super) fn is_meant(path: &[String]) -> bool {
    path.get(1).is_some_and(|second| second == "sagas")
}

/// Reads what somebody wants; to move a saga takes an operator.
pub(super) async fn read(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
    path: &[String],
    query: Vec<(String, String)>,
    id: Uuid,
) -> Result<Request, Reply> {
    let failed = |e: Error| Reply::failed(&e.into_failure(), id);
    let verb = request.method().as_str();
    let path: Vec<&str> = path.iter().skip(2).map(String::as_str).collect();
    let shows = match path.as_slice() {
        [] | [_] => true,
        [_, "retry" | "skip" | "cancel"] | [_, "signals", _] => false,
        _ => return Err(nothing(id)),
    };
    match (shows, verb) {
        (true, "GET" | "HEAD") | (false, "POST") => {}
        (true, _) => return Err(other_verb(verb, ["GET", "HEAD"], id)),
        (false, _) => return Err(other_verb(verb, ["POST"], id)),
    }
    let wanted = async {
        match path.as_slice() {
            [] => return filter(query).map(Request::List),
            [saga] => return saga_id(saga).map(Request::Show),
            _ => operator::asks(&app.settings, request)?,
        }
        let Some(saga) = path.first() else {
            unreachable!("the path was looked at above")
        };
        let saga = saga_id(saga)?;
        let Decided {
            by,
            reason,
            step,
            content,
        } = decided(app, request, payload).await?;
        let decision = Decision::by(by).because(reason);
        let only = |field: &str, there: bool, what: &str| match there {
            true => {
                let text = format!("this belongs to {what}");
                Err(Error::from(Failure::new(Kind::Invalid, text).at(field)))
            }
            false => Ok(()),
        };
        let what = path.get(1).copied().unwrap_or_default();
        if what != "skip" {
            only("/step", step.is_some(), "`skip`")?;
        }
        if what != "signals" {
            only("/content", !content.is_null(), "a signal")?;
        }
        Ok(match (what, path.get(2)) {
            ("retry", _) => Request::Retry(saga, decision),
            ("cancel", _) => Request::Cancel(saga, decision),
            (_, Some(name)) => {
                let content = Payload::encode(&content)?;
                Request::Signal(saga, ((*name).to_owned(), content), decision)
            }
            _ => Request::Skip(saga, step, decision),
        })
    };
    wanted.await.map_err(failed)
}

async fn decided(app: &App, request: &HttpRequest, payload: web::Payload) -> Result<Decided> {
    let body = body::read(request.headers(), payload, app.settings.body_limit).await?;
    let who = |text: &str| Error::from(Failure::new(Kind::Invalid, text).at("/by"));
    let Some(body) = body::json(request.headers(), body)? else {
        let text = "say who decides, and why: `{\"by\": \"..\", \"reason\": \"..\"}`";
        return Err(who(text));
    };
    let decided: Decided = body.decode()?;
    if decided.by.trim().is_empty() {
        return Err(who("say who decides"));
    }
    Ok(decided)
}

impl Request {
    pub(super) async fn answer(self, app: &App, id: Uuid) -> Reply {
        let sagas = Sagas::new(app.core.clone());
        let row = match self {
            Request::List(filter) => return done(list(&sagas, &filter).await, id),
            Request::Show(saga) => return done(show(&sagas, saga).await, id),
            Request::Retry(saga, decision) => sagas.retry(saga, &decision).await,
            Request::Cancel(saga, decision) => sagas.cancel(saga, &decision).await,
            Request::Skip(saga, step, decision) => {
                sagas.skip(saga, step.as_deref(), &decision).await
            }
            Request::Signal(saga, (name, content), decision) => {
                sagas.signal(saga, &name, &content, &decision).await
            }
        };
        let answer = row.map(|row| {
            json!({ "saga": row.id, "name": row.name, "status": row.status, "version": row.version })
        });
        done(answer, id)
    }
}

fn done(answer: Result<Value>, id: Uuid) -> Reply {
    match answer {
        Ok(answer) => Reply::json(200, &answer, id),
        Err(e) => Reply::failed(&e.into_failure(), id),
    }
    .with(CACHE_CONTROL, "no-store")
}

async fn list(sagas: &Sagas, filter: &SagaFilter) -> Result<Value> {
    let rows = sagas.list(filter).await?;
    let mut rows = rows.iter().map(shown).collect::<Result<Vec<_>>>()?;
    // They may be long.
    for part in ["latest", "mail"] {
        rows.iter_mut().for_each(|row| drop(row.remove(part)));
    }
    Ok(json!({ "sagas": rows }))
}

async fn show(sagas: &Sagas, saga: Uuid) -> Result<Value> {
    let all = sagas.show(saga).await?;
    let history: Vec<Value> = all.history.iter().map(stored).collect::<Result<_>>()?;
    let mut shown = shown(&all.row)?;
    // They are lines of the history.
    shown.remove("latest");
    if let Some(mail) = shown.get_mut("mail").and_then(Value::as_array_mut) {
        for message in mail {
            *message = json!({ "kind": message["kind"], "name": message["name"] });
        }
    }
    shown.insert("timeline".to_owned(), json!(all.timeline));
    shown.insert("history".to_owned(), Value::Array(history));
    shown.insert("history_cut".to_owned(), all.cut.into());
    Ok(Value::Object(shown))
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
