//! From a request to its answer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use tokio::task::JoinHandle;
use tracing::{Instrument, debug, info_span};
use uuid::Uuid;

use super::{
    Shared, body, headers,
    idempotency::Key,
    letters, params,
    reply::{Reply, uncommitted},
    routes::{Found, Route},
    sagas, spec, system,
};
use crate::{
    context::{Call, Job, Origin, run},
    enroute::{Answer, Raw},
    error::{Failure, Kind, Result},
    message::Status,
    store,
};

/// Answers one request.
pub(super) async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    let started = Instant::now();
    let shared = shared.into_inner();
    let id = shared.app.core.clock.new_uuid();
    let span = info_span!("http", request = %id, verb = %request.method(), path = request.path());
    let reply = async {
        let reply = match read(&shared, &request, payload, id).await {
            Ok(work) => finish(&shared, id, work).await,
            Err(Refusal(reply)) => reply,
        };
        let micros = started.elapsed().as_micros();
        debug!(status = reply.status, micros, "answered");
        reply
    };
    let reply = reply.instrument(span).await;
    reply.into_response(id, shared.closing.load(Ordering::SeqCst))
}

/// Work that was read from a request, and needs the connection no more.
enum Work {
    System(system::Request),
    Spec(spec::Request),
    Letters(letters::Request),
    Sagas(sagas::Request),
    Handler(Box<Asked>),
}

/// A request for a handler.
struct Asked {
    /// The places of handlers and route.
    handlers: usize,
    route: usize,
    raw: Raw,
    key: Option<Key>,
}

/// The answer to a request that no handler sees.
struct Refusal(Reply);

/// Reads a request as far as no handler is needed for it.
async fn read(
    shared: &Shared,
    request: &HttpRequest,
    payload: web::Payload,
    id: Uuid,
) -> Result<Work, Refusal> {
    let failed = |e: crate::error::Error| Refusal(Reply::failed(&e.into_failure(), id));
    // Whoever closes sets this first and then waits for the connections: what passes here is waited for.
    if shared.closed.load(Ordering::SeqCst) {
        return Err(Refusal(Reply::failed(&stops(), id)));
    }
    let verb = request.method().as_str();
    let path = params::path(request.uri().path()).map_err(failed)?;
    let query = params::query(request.uri().query().unwrap_or_default()).map_err(failed)?;
    if path.first().is_some_and(|first| first == "system") {
        if letters::is_meant(&path) {
            return letters::read(&shared.app, request, payload, &path, query, id)
                .await
                .map(Work::Letters)
                .map_err(Refusal);
        }
        if sagas::is_meant(&path) {
            return sagas::read(&shared.app, request, payload, &path, query, id)
                .await
                .map(Work::Sagas)
                .map_err(Refusal);
        }
        return system::Request::read(verb, &path, id)
            .map(Work::System)
            .map_err(Refusal);
    }
    if path.first().is_some_and(|first| first == "spec") {
        return spec::Request::read(verb, &path, id)
            .map(Work::Spec)
            .map_err(Refusal);
    }
    let (route, mut params) = match shared.table.find(verb, &path) {
        Found::Route(route, params) => (route, params),
        Found::OtherVerb(verbs) => return Err(Refusal(other_verb(verb, verbs, id))),
        Found::Nothing => return Err(Refusal(nothing(id))),
    };
    let asked = ask(shared, request, payload, id, route, &mut params, query)
        .await
        .map_err(failed)?;
    Ok(Work::Handler(Box::new(asked)))
}

async fn ask(
    shared: &Shared,
    request: &HttpRequest,
    payload: web::Payload,
    id: Uuid,
    route: &Route,
    params: &mut Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
) -> Result<Asked> {
    let settings = &shared.app.settings;
    let user = match settings.trust_identity_headers {
        true => headers::user(request.headers())?,
        false => None,
    };
    let key = match route.verb {
        "GET" => None,
        _ => headers::idempotency_key(request.headers())?,
    };
    if let Some((name, _)) = query
        .iter()
        .find(|(n, _)| params.iter().any(|(p, _)| p == n))
    {
        let text = "the path has this parameter already; leave it out of the query";
        return Err(Failure::new(Kind::Invalid, text)
            .at(format!("/{name}"))
            .into());
    }
    let body = body::read(request.headers(), payload, settings.body_limit).await?;
    let key = key.map(|text| {
        let target = request.uri().path_and_query().map_or("", |t| t.as_str());
        Key::new(text, (route.verb, route.path), user, target, &body)
    });
    let mut all: Vec<(String, String)> = params
        .drain(..)
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    all.extend(query);
    Ok(Asked {
        handlers: route.handlers,
        route: route.route,
        raw: Raw {
            id,
            content: body::json(request.headers(), body)?,
            params: all,
            user,
            headers: headers::visible(request.headers()),
            event: None,
        },
        key,
    })
}

/// Ends a task when nobody waits for it any more. What it had submitted is finished all the same.
struct Waiting(JoinHandle<Reply>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Does the work on the runtime of the service. The threads of the door only read and write: what a handler blocks
/// or spawns, and what a store's connections are bound to, must not hang on them.
async fn finish(shared: &Arc<Shared>, id: Uuid, work: Work) -> Reply {
    let owner = shared.clone();
    let task = async move {
        match work {
            Work::System(request) => request.answer(&owner.app, id).await,
            Work::Spec(request) => request.answer(&owner.app, id),
            Work::Letters(request) => request.answer(&owner.app, id).await,
            Work::Sagas(request) => request.answer(&owner.app, id).await,
            Work::Handler(asked) => answer(&owner, id, &asked).await,
        }
    };
    let runtime = &shared.app.core.runtime;
    let mut task = Waiting(runtime.spawn(task.in_current_span()));
    match (&mut task.0).await {
        Ok(reply) => reply,
        Err(e) if e.is_cancelled() => Reply::failed(&stops(), id),
        Err(e) => {
            let failure = Failure::new(Kind::Internal, "answering a request panicked").because(e);
            Reply::failed(&failure, id)
        }
    }
}

async fn answer(shared: &Shared, id: Uuid, asked: &Asked) -> Reply {
    let outcome = match &asked.key {
        None => once(shared, id, asked).await,
        Some(key) => at_most_once(shared, id, asked, key).await,
    };
    outcome.unwrap_or_else(|e| Reply::failed(&e.into_failure(), id))
}

/// Runs the handler in a unit of work.
async fn once(shared: &Shared, id: Uuid, asked: &Asked) -> Result<Reply> {
    let seal = |_: &mut store::UnitOfWork, answer: &Answer| matches!(answer, Answer::Done { .. });
    match unit(shared, id, asked, seal).await {
        Ok(answer) => Ok(Reply::answered(answer, id)),
        Err(e) => Err(uncommitted(e).into()),
    }
}

/// Runs the handler unless a request with this key was answered before.
async fn at_most_once(shared: &Shared, id: Uuid, asked: &Asked, key: &Key) -> Result<Reply> {
    // One after the other. This spares work; the key of the inbox is what decides.
    let _turn = shared.turns.take(&key.queue()).await;
    let store = &shared.app.core.store;
    let recorded = || store.inbox(key.consumer(), key.message());
    if let Some(outcome) = recorded().await? {
        return key.replay(outcome.as_ref());
    }
    let mut unkept = None;
    let seal = |unit: &mut store::UnitOfWork, answer: &Answer| {
        let (status, reply) = match answer {
            Answer::Done { status, body } => {
                let (status, body) = (*status, body.clone());
                let done = Answer::Done { status, body };
                (Status::Done, Reply::answered(done, id))
            }
            Answer::Refused(refused) => (Status::Refused, Reply::refused(refused, id)),
            Answer::Failed(_) => return false,
        };
        match key.mark(status, &reply) {
            Ok(mark) => unit.inbox = Some(mark),
            Err(e) => unkept = Some(e),
        }
        unkept.is_none()
    };
    let ran = unit(shared, id, asked, seal).await;
    if let Some(e) = unkept {
        return Err(e);
    }
    let failure = match ran {
        Ok(Answer::Failed(failure)) => failure,
        Ok(answer) => return Ok(Reply::answered(answer, id)),
        Err(store::Error::Duplicate { outcome, .. }) => return key.replay(outcome.as_ref()),
        Err(e) => uncommitted(e),
    };
    // It may have failed because its twin, at another instance, was faster and did it.
    match recorded().await {
        Ok(Some(outcome)) => key.replay(outcome.as_ref()),
        Ok(None) | Err(_) => Err(failure.into()),
    }
}

async fn unit<S>(shared: &Shared, id: Uuid, asked: &Asked, seal: S) -> store::Result<Answer>
where
    S: FnMut(&mut store::UnitOfWork, &Answer) -> bool + Send,
{
    let Some(handlers) = shared.app.handlers.get(asked.handlers) else {
        unreachable!("the table of routes has the places of this list")
    };
    let job = Job {
        role: handlers.role,
        origin: Origin {
            message: None,
            correlation: Some(id),
            user: asked.raw.user,
            traceparent: headers::trace(&asked.raw.headers),
        },
    };
    let call = Call {
        handlers,
        route: asked.route,
        raw: &asked.raw,
    };
    run(&shared.app.core, job, &call, seal).await
}

fn stops() -> Failure {
    Failure::new(Kind::Unavailable, "this service stops; ask again")
}

/// 404.
pub(super) fn nothing(id: Uuid) -> Reply {
    let failure = Failure::new(Kind::NotFound, "nothing answers at this path");
    Reply::failed(&failure, id)
}

/// 405.
pub(super) fn other_verb<'v>(
    verb: &str,
    verbs: impl IntoIterator<Item = &'v str>,
    id: Uuid,
) -> Reply {
    let allowed = verbs.into_iter().collect::<Vec<_>>().join(", ");
    let text = format!("`{verb}` is not among the verbs of this path: {allowed}");
    Reply::failed(&Failure::new(Kind::MethodNotAllowed, text), id).with(header::ALLOW, allowed)
}
