//! `/system/dead-letters`: what operators see of dead letters, and do with them.

use actix_web::{HttpRequest, http::header::CACHE_CONTROL, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    App, body, operator,
    reply::Reply,
    serve::{nothing, other_verb},
};
use crate::{
    error::{Error, Failure, Kind, Result},
    message,
    runtime::{DeadLetters, Decision},
    store::{DeadLetter, LetterFilter, Position, Reason},
};

/// How many letters are listed or decided about unless the query says otherwise, and at most.
const MEANT: (u32, u32) = (100, 1000);

/// How many of the last decisions are shown with a letter.
const DECISIONS: u32 = 100;

/// What an operator wants.
#[derive(Debug)]
pub(super) enum Request {
    List(LetterFilter),
    Show(Uuid),
    Replay(Uuid, Decision),
    ReplayAll(LetterFilter, Decision),
    Discard(Uuid, Decision),
    DiscardAll(LetterFilter, Decision),
}

/// The body of a decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    by: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    force: bool,
}

/// Whether a path is one of these.
pub(super) fn is_meant(path: &[String]) -> bool {
    path.get(1).is_some_and(|second| second == "dead-letters")
}

/// Reads what an operator wants from a request that proves to be one's.
pub(super) async fn read(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
    path: &[String],
    query: Vec<(String, String)>,
    id: Uuid,
) -> Result<Request, Reply> {
    let failed = |e: Error| Reply::failed(&e.into_failure(), id);
    operator::asks(&app.settings, request).map_err(failed)?;
    let verb = request.method().as_str();
    let path: Vec<&str> = path.iter().skip(2).map(String::as_str).collect();
    let shows = match path.as_slice() {
        ["replay" | "discard"] | [_, "replay" | "discard"] => false,
        [] | [_] => true,
        _ => return Err(nothing(id)),
    };
    match (shows, verb) {
        (true, "GET" | "HEAD") | (false, "POST") => {}
        (true, _) => return Err(other_verb(verb, ["GET", "HEAD"], id)),
        (false, _) => return Err(other_verb(verb, ["POST"], id)),
    }
    let wanted = async {
        let filter = filter(query)?;
        if shows {
            return Ok(match path.as_slice() {
                [letter] => Request::Show(letter_id(letter)?),
                _ => Request::List(filter),
            });
        }
        let decision = decision(app, request, payload).await?;
        Ok(match path.as_slice() {
            ["replay"] if decision.force => Request::ReplayAll(said(filter)?, decision),
            ["replay"] => Request::ReplayAll(filter, decision),
            ["discard"] => Request::DiscardAll(said(filter)?, decision),
            [letter, "replay"] => Request::Replay(letter_id(letter)?, decision),
            [letter, _] => Request::Discard(letter_id(letter)?, decision),
            _ => unreachable!("the path was looked at above"),
        })
    };
    wanted.await.map_err(failed)
}

async fn decision(app: &App, request: &HttpRequest, payload: web::Payload) -> Result<Decision> {
    let body = body::read(request.headers(), payload, app.settings.body_limit).await?;
    let Some(body) = body::json(request.headers(), body)? else {
        let text = "say who decides, and why: `{\"by\": \"..\", \"reason\": \"..\"}`";
        return Err(Failure::new(Kind::Invalid, text).at("/by").into());
    };
    let Decided { by, reason, force } = body.decode()?;
    if by.trim().is_empty() {
        return Err(Failure::new(Kind::Invalid, "say who decides")
            .at("/by")
            .into());
    }
    let decision = Decision::by(by).because(reason);
    Ok(if force { decision.by_force() } else { decision })
}

fn filter(query: Vec<(String, String)>) -> Result<LetterFilter> {
    let mut filter = LetterFilter::all(MEANT.0);
    for (name, value) in query {
        let wrong = |text: String| Failure::new(Kind::Invalid, text).at(format!("/{name}"));
        match name.as_str() {
            "consumer" => filter.consumer = Some(value),
            "topic" => filter.topic = Some(value),
            "name" => filter.name = Some(value),
            "key" => filter.key = Some(value),
            "kind" => {
                let all = message::Kind::ALL.map(message::Kind::as_str).join(", ");
                let kind = message::Kind::named(&value);
                filter.kind = Some(kind.ok_or_else(|| wrong(format!("there is {all}")))?);
            }
            "reason" => {
                let all = Reason::ALL.map(Reason::as_str).join(", ");
                let reason = Reason::named(&value);
                filter.reason = Some(reason.ok_or_else(|| wrong(format!("there is {all}")))?);
            }
            "since" | "until" => {
                let at = DateTime::parse_from_rfc3339(&value)
                    .map_err(|_| wrong("a time is written as 2025-01-31T12:00:00Z".to_owned()))?;
                let at = Some(at.to_utc());
                match name.as_str() {
                    "since" => filter.since = at,
                    _ => filter.until = at,
                }
            }
            "after" => {
                let row = value
                    .parse()
                    .map_err(|_| wrong("write the `next` of the page before".to_owned()))?;
                filter.after = Position {
                    row,
                    ..Position::START
                };
            }
            "limit" => {
                let limit = value.parse().ok().filter(|n| (1..=MEANT.1).contains(n));
                filter.limit = limit
                    .ok_or_else(|| wrong(format!("a limit is a number from 1 to {}", MEANT.1)))?;
            }
            _ => {
                let text = "unknown parameter; there is `consumer`, `topic`, `name`, `key`, `kind`, `reason`, \
                            `since`, `until`, `after`, `limit`";
                return Err(wrong(text.to_owned()).into());
            }
        }
    }
    Ok(filter)
}

/// Nobody gives everything up or forces everything by leaving the filter out.
fn said(filter: LetterFilter) -> Result<LetterFilter> {
    let all = LetterFilter {
        after: filter.after,
        ..LetterFilter::all(filter.limit)
    };
    if filter == all {
        let text = "say which, such as `?consumer=..` or `?reason=undecodable`";
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(filter)
}

fn letter_id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| {
        Failure::new(Kind::Invalid, "the id of a dead letter is a UUID")
            .at("/id")
            .into()
    })
}

impl Request {
    pub(super) async fn answer(self, app: &App, id: Uuid) -> Reply {
        let letters = app.letters.clone();
        // Whoever hangs up must not leave a letter taken back with those behind it still waiting.
        let answer = app
            .core
            .runtime
            .spawn(async move { self.done(&letters).await });
        let answer = answer.await.unwrap_or_else(|e| Err(Error::other(e)));
        match answer {
            Ok(answer) => Reply::json(200, &answer, id),
            Err(e) => Reply::failed(&e.into_failure(), id),
        }
        .with(CACHE_CONTROL, "no-store")
    }

    async fn done(self, letters: &DeadLetters) -> Result<Value> {
        match self {
            Request::List(filter) => list(letters, &filter).await,
            Request::Show(letter) => show(letters, letter).await,
            Request::Replay(letter, decision) => {
                letters.replay(letter, &decision).await.map(|r| json!(r))
            }
            Request::ReplayAll(filter, decision) => letters
                .replay_all(&filter, &decision)
                .await
                .map(|r| json!(r)),
            Request::Discard(letter, decision) => {
                letters.discard(letter, &decision).await.map(|r| json!(r))
            }
            Request::DiscardAll(filter, decision) => letters
                .discard_all(&filter, &decision)
                .await
                .map(|r| json!(r)),
        }
    }
}

async fn list(letters: &DeadLetters, filter: &LetterFilter) -> Result<Value> {
    let page = letters.list(filter).await?;
    let full = u32::try_from(page.len()).is_ok_and(|n| n == filter.limit);
    let next = page.last().filter(|_| full);
    let next = next.map(|(place, _)| place.row.to_string());
    let shown: Vec<Value> = page.iter().map(|(_, letter)| summary(letter)).collect();
    let counts = letters.count(filter).await?;
    Ok(json!({ "dead_letters": shown, "next": next, "counts": counts }))
}

async fn show(letters: &DeadLetters, id: Uuid) -> Result<Value> {
    let letter = letters.get(id).await?;
    let decisions = letters.operations(Some(id), DECISIONS).await?;
    let payload = letter.message.payload.as_str();
    let mut shown = summary(&letter);
    // What is no JSON is shown as it is.
    shown["payload"] = serde_json::from_str(payload).unwrap_or_else(|_| payload.into());
    shown["headers"] = json!(letter.message.headers);
    shown["history"] = json!(letter.history);
    shown["decisions"] = json!(decisions);
    if let Some(bytes) = &letter.bytes {
        shown["bytes"] = STANDARD.encode(bytes).into();
    }
    Ok(shown)
}

fn summary(letter: &DeadLetter) -> Value {
    let message = &letter.message;
    json!({
        "id": letter.id,
        "consumer": letter.consumer,
        "key": letter.key,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "parked_at": time(letter.at),
        "origin": letter.origin,
        "message": {
            "id": message.id,
            "kind": message.kind,
            "topic": message.topic,
            "name": message.name,
            "version": letter.version(),
            "sent_at": time(message.at),
        },
    })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
