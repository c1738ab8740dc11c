//! A small service written by hand, and clients for it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use super::store::Fickle;
use crate::{
    broker::memory::Broker,
    clock::SystemClock,
    config,
    context::{Context, Core, Limits, Slots, Soon},
    enroute::{
        Accepted, Answer, At, BoxFuture, Door, Handlers, Raw, Request, Resources, Response, Role,
        RouteInfo,
        private::{Dispatch, handle},
    },
    error::{Error, ErrorModel, Kind, Result},
    health::Health,
    http::{App, Server, bind},
    model::Model,
    payload::Payload,
    runtime::{DeadLetters, Handler, Retries, Stop},
    saga::{Flow, toy},
    store::{Claim, Store, StreamId},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct CreateFoo {
    pub(super) text: String,
    pub(super) number: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Foo {
    pub(super) uuid: Uuid,
    pub(super) version: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct FooPath {
    uuid: Uuid,
    #[serde(default)]
    limit: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Nap {
    millis: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) enum FooError {
    Exists { text: String },
}

impl std::fmt::Display for FooError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FooError::Exists { text } = self;
        write!(f, "a foo saying {text:?} exists already")
    }
}

impl std::error::Error for FooError {}

impl ErrorModel for FooError {
    fn status(&self) -> u16 {
        409
    }

    fn code(&self) -> &'static str {
        "Exists"
    }
}

impl Model for CreateFoo {}
impl Model for Foo {}
impl Model for FooPath {}
impl Model for Nap {}
impl Model for FooError {}

const ROUTES: &[(&str, &str)] = &[
    ("POST", "/foos"),
    ("GET", "/foos/{uuid}"),
    ("DELETE", "/foos/{uuid}"),
    ("POST", "/foos/add-foobar"),
    ("POST", "/foos/{uuid}"),
    ("GET", "/seen"),
    ("POST", "/naps"),
    ("GET", "/names/{name}"),
];

/// The handlers, and how often one was called.
#[derive(Debug, Default)]
pub(super) struct Toy {
    pub(super) calls: AtomicU32,
}

impl Dispatch for Toy {
    fn call<'a>(&'a self, route: usize, cx: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match ROUTES[route] {
            ("POST", "/foos") => handle(raw, move |r: Request<CreateFoo>| create(cx, r)),
            ("GET", "/foos/{uuid}") => handle(raw, move |r: Request<(), FooPath>| get(cx, r)),
            ("DELETE", _) => handle(raw, move |_: Request<(), FooPath>| async { ok(()) }),
            ("POST", "/foos/add-foobar") => handle(raw, move |_: ()| async {
                let uuid = Uuid::from_u128(1);
                ok(Accepted(Foo { uuid, version: 0 }))
            }),
            ("POST", "/foos/{uuid}") => handle(raw, move |r: Request<(), FooPath>| change(cx, r)),
            ("GET", "/seen") => handle(raw, move |r: Request<()>| async move {
                ok(serde_json::json!({
                    "user": r.user(), "cx": cx.user(), "headers": r.headers(),
                }))
            }),
            ("POST", "/naps") => handle(raw, move |r: Request<Nap>| async move {
                let uuid = cx.new_uuid();
                stage(cx, uuid, 0, Vec::new())?;
                tokio::time::sleep(Duration::from_millis(r.content().millis)).await;
                ok(Foo { uuid, version: 1 })
            }),
            ("GET", "/names/{name}") => handle(raw, move |_: ()| async move {
                ok(serde_json::json!(raw.params))
            }),
            other => unreachable!("{other:?}"),
        }
    }
}

fn ok<T>(value: T) -> Result<T> {
    Ok(value)
}

async fn create(
    cx: &Context,
    request: Request<CreateFoo>,
) -> Result<Response<Foo>, Error<FooError>> {
    let CreateFoo { text, number } = request.into_content();
    match text.as_str() {
        "taken" => return Err(FooError::Exists { text }.into()),
        "broken" => {
            return Err(Error::other(
                "sqlx: SELECT * FROM secrets panicked at /srv/db.rs",
            ));
        }
        "panic" => panic!("at the disco, in /srv/a.rs"),
        "missing" => return Err(Error::new(Kind::NotFound, "no such text")),
        _ => {}
    }
    // A handler that gives way to others: two of one key do meet.
    tokio::time::sleep(Duration::from_millis(number.max(0).unsigned_abs().into())).await;
    let uuid = cx.new_uuid();
    let claim = Claim {
        field: "text".to_owned(),
        value: Some(format!("{text:?}")),
    };
    stage(cx, uuid, 0, vec![claim])?;
    Ok(Response::created(Foo { uuid, version: 1 }))
}

async fn get(cx: &Context, request: Request<(), FooPath>) -> Result<Foo> {
    let uuid = request.params().uuid;
    match cx.track(&StreamId::new("Foo", uuid)).await? {
        Some(found) => Ok(Foo {
            uuid,
            version: found.version,
        }),
        None => Err(Error::new(Kind::NotFound, "there is no such foo")),
    }
}

async fn change(cx: &Context, request: Request<(), FooPath>) -> Result<Foo> {
    let foo = get(cx, request).await?;
    stage(cx, foo.uuid, foo.version, Vec::new())?;
    Ok(Foo {
        version: foo.version + 1,
        ..foo
    })
}

fn stage(cx: &Context, uuid: Uuid, version: u64, claims: Vec<Claim>) -> Result<()> {
    let event = ("FooMoved".to_owned(), Payload::null());
    let state = Some(Payload::encode(&serde_json::json!({ "uuid": uuid }))?);
    cx.stage_event(&StreamId::new("Foo", uuid), version, event, state, claims)?;
    Ok(())
}

/// A running toy service.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) store: Arc<Fickle>,
    pub(super) health: Arc<Health>,
    pub(super) toy: Arc<Toy>,
    pub(super) client: reqwest::Client,
}

pub(super) fn app(store: &Arc<Fickle>, settings: config::Http) -> (App, Arc<Toy>) {
    app_with(store, settings, toy::sagas())
}

pub(super) fn app_with(
    store: &Arc<Fickle>,
    settings: config::Http,
    sagas: BTreeMap<&'static str, Arc<dyn Flow>>,
) -> (App, Arc<Toy>) {
    let toy = Arc::new(Toy::default());
    let routes = (1..).zip(ROUTES).map(|(line, (verb, path))| RouteInfo {
        door: Door::Http { verb, path },
        at: At::new("toy", "toy.rs", line),
    });
    let handlers = Handlers {
        name: "Toy",
        role: Role::Command,
        routes: routes.collect(),
        dispatch: toy.clone(),
    };
    let core = Core {
        name: "toy".to_owned(),
        store: store.clone(),
        clock: Arc::new(SystemClock),
        slots: Slots::default(),
        resources: Resources::default(),
        sagas,
        soon: Soon::default(),
        limits: Limits {
            reruns: 4,
            resubmits: 2,
        },
        runtime: tokio::runtime::Handle::current(),
        fatal: tokio::sync::watch::Sender::new(None),
    };
    let (core, handlers) = (Arc::new(core), Arc::new(vec![handlers]));
    let handler = Handler {
        core: core.clone(),
        handlers: handlers.clone(),
        retries: Retries {
            attempts: 1,
            first: Duration::ZERO,
            most: Duration::ZERO,
            patience: Duration::ZERO,
        },
        stop: Stop::default(),
        loose: Arc::default(),
    };
    let app = App {
        letters: DeadLetters::new(handler, Arc::new(Broker::new())),
        core,
        handlers,
        health: Arc::new(Health::default()),
        settings,
    };
    (app, toy)
}

pub(super) fn settings() -> config::Http {
    let config = config::Config::in_memory();
    let config = config.set("http.body_limit", "1KiB").unwrap();
    config.for_service("toy", 0).http
}

pub(super) async fn start() -> Running {
    start_with(settings()).await
}

pub(super) async fn start_with(settings: config::Http) -> Running {
    let store = Arc::new(Fickle::default());
    let (app, toy) = app(&store, settings);
    start_app(store, app, toy).await
}

pub(super) async fn start_app(store: Arc<Fickle>, app: App, toy: Arc<Toy>) -> Running {
    let health = app.health.clone();
    Running {
        server: bind(app).await.unwrap(),
        store,
        health,
        toy,
        client: reqwest::Client::new(),
    }
}

impl Running {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.local_addr())
    }

    pub(super) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(super) fn post(&self, path: &str, body: &str) -> reqwest::RequestBuilder {
        self.client
            .post(self.url(path))
            .header("content-type", "application/json")
            .body(body.to_owned())
    }

    pub(super) fn calls(&self) -> u32 {
        self.toy.calls.load(Ordering::SeqCst)
    }

    /// How many units of work left an event.
    pub(super) async fn events(&self) -> usize {
        let start = crate::store::Position::START;
        self.store.events(start, u32::MAX).await.unwrap().len()
    }

    /// Sends bytes and reads until the server closes.
    pub(super) async fn raw(&self, bytes: &str) -> String {
        let mut socket = self.socket().await;
        socket.write_all(bytes.as_bytes()).await.unwrap();
        read_all(&mut socket).await
    }

    pub(super) async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.server.local_addr()).await.unwrap()
    }
}

pub(super) async fn read_all(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let whole = socket.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(5), whole)
        .await
        .expect("the server closes")
        .unwrap();
    text
}

/// Reads one answer with a `content-length`, and leaves the connection open.
pub(super) async fn read_one(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        bytes.push(socket.read_u8().await.unwrap());
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// The problem document of an answer, which shows nothing that only belongs into the log.
pub(super) async fn problem(response: reqwest::Response, status: u16) -> serde_json::Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = response.text().await.unwrap();
    for inside in [
        "sqlx",
        "SELECT",
        "panicked",
        ".rs",
        "backtrace",
        "/srv",
        "disco",
    ] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
    for field in ["type", "title", "detail"] {
        assert!(
            problem[field].as_str().is_some_and(|s| !s.is_empty()),
            "{text}"
        );
    }
    problem
}
