//! Which handlers a service has, and whether services fit together.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use super::{
    Answer, At, Door, Raw, Role, RouteInfo,
    route::{BoxFuture, Route},
};
use crate::{
    aggregate::AggregateEntry,
    context::Context,
    error::{Error, Kind, Result},
    saga::SagaEntry,
};

/// The name of a service crate; `minos::service!` writes it.
pub trait ServiceName: 'static {
    /// The service's name.
    const NAME: &'static str;
}

/// Shared values that handlers and constructors use, one per type: clients, caches, settings.
#[derive(Clone, Default)]
pub struct Resources {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resources({})", self.values.len())
    }
}

impl Resources {
    /// Adds a value; one of the same type is replaced.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type.
    ///
    /// # Errors
    /// [`Kind::Config`] if nobody added one.
    pub fn get<T: Any + Send + Sync>(&self) -> Result<&T> {
        let value = self
            .values
            .get(&TypeId::of::<T>())
            .and_then(|v| v.downcast_ref());
        value.ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::new(
                Kind::Config,
                format!("no resource of type `{name}`; add it with `Service::resource`"),
            )
        })
    }
}

/// The handlers of one impl block; `#[command_service]` and `#[query_service]` write it.
pub trait Serves: Sized + Send + Sync + 'static {
    /// The crate it belongs to.
    type Of: ServiceName;
    /// Whether it may change something.
    const ROLE: Role;
    /// The type's name.
    const NAME: &'static str;
    /// Its handlers.
    const ROUTES: &'static [Route<Self>];

    /// Builds the one value that all requests share.
    fn construct(resources: &Resources) -> BoxFuture<'_, Result<Self>>;
}

/// A service type that Minos can build by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `Default`, so minos cannot build it",
    label = "no `Default` and no `#[construct]`",
    note = "derive `Default`, or mark one constructor: `#[construct] async fn new(resources: &Resources) -> Result<Self>`"
)]
pub trait Plain: Default {}
impl<T: Default> Plain for T {}

/// Builds a service by `Default`.
pub fn plain<'a, S: Plain + Send + 'a>() -> BoxFuture<'a, Result<S>> {
    Box::pin(async { Ok(S::default()) })
}

/// A built service whose type is forgotten.
pub trait Dispatch: Send + Sync {
    /// Calls one of its handlers, by its place in the list of routes.
    fn call<'a>(&'a self, route: usize, cx: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer>;
}

impl<S: Serves> Dispatch for S {
    fn call<'a>(&'a self, route: usize, cx: &'a Context, raw: &'a Raw) -> BoxFuture<'a, Answer> {
        match S::ROUTES.get(route) {
            Some(route) => (route.call)(self, cx, raw),
            None => unreachable!("routes are numbered by their own list"),
        }
    }
}

type Build = for<'a> fn(&'a Resources) -> BoxFuture<'a, Result<Arc<dyn Dispatch>>>;

/// One impl block with handlers, as inventory collects it.
pub struct Entry {
    service: fn() -> TypeId,
    name: &'static str,
    role: Role,
    routes: fn() -> Vec<RouteInfo>,
    build: Build,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("routes", &(self.routes)())
            .finish()
    }
}

impl Entry {
    /// The entry of one impl block.
    #[must_use]
    pub const fn of<S: Serves>() -> Self {
        Self {
            service: TypeId::of::<S::Of>,
            name: S::NAME,
            role: S::ROLE,
            routes: || S::ROUTES.iter().map(|r| r.info).collect(),
            build: |resources| {
                Box::pin(async move {
                    Ok(Arc::new(S::construct(resources).await?) as Arc<dyn Dispatch>)
                })
            },
        }
    }
}

inventory::collect!(Entry);

/// One service: all handlers and sagas of one crate. `minos::service!` writes the function that makes it.
pub struct Service {
    name: &'static str,
    entries: Vec<&'static Entry>,
    sagas: Vec<&'static SagaEntry>,
    aggregates: Vec<&'static AggregateEntry>,
    resources: Resources,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sagas: Vec<_> = self.sagas.iter().map(|s| s.name).collect();
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("entries", &self.entries)
            .field("sagas", &sagas)
            .finish_non_exhaustive()
    }
}

/// One impl block of a running service: the built value and its routes.
#[derive(Clone)]
pub(crate) struct Handlers {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) routes: Vec<RouteInfo>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("name", &self.name)
            .field("routes", &self.routes)
            .finish()
    }
}

impl Service {
    #[doc(hidden)]
    #[must_use]
    pub fn of<S: ServiceName>() -> Self {
        let service = TypeId::of::<S>();
        let mut entries: Vec<_> = inventory::iter::<Entry>()
            .filter(|e| (e.service)() == service)
            .collect();
        // inventory has no order; the source has.
        entries.sort_by_key(|e| (e.name, (e.routes)().first().map(|r| (r.at.file, r.at.line))));
        let mut sagas: Vec<_> = inventory::iter::<SagaEntry>()
            .filter(|e| (e.service)() == service)
            .collect();
        sagas.sort_by_key(|s| s.name);
        let mut aggregates: Vec<_> = inventory::iter::<AggregateEntry>()
            .filter(|e| (e.service)() == service)
            .collect();
        aggregates.sort_by_key(|a| a.name);
        Self {
            name: S::NAME,
            entries,
            sagas,
            aggregates,
            resources: Resources::default(),
        }
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Adds a value that handlers read with `cx.resource::<T>()` and constructors with `resources.get::<T>()`.
    #[must_use]
    pub fn resource<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.resources.insert(value);
        self
    }

    /// All handlers, in the order of their source.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteInfo> {
        self.entries.iter().flat_map(|e| (e.routes)()).collect()
    }

    pub(crate) fn resources(&self) -> &Resources {
        &self.resources
    }

    pub(crate) fn sagas(&self) -> &[&'static SagaEntry] {
        &self.sagas
    }

    /// The names of its own aggregates: their events are in its own log.
    pub(crate) fn aggregates(&self) -> BTreeSet<&'static str> {
        self.aggregates.iter().map(|a| a.name).collect()
    }

    /// Builds the values behind the handlers.
    pub(crate) async fn build(&self) -> Result<Vec<Handlers>> {
        let mut built = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            built.push(Handlers {
                name: entry.name,
                role: entry.role,
                routes: (entry.routes)(),
                dispatch: (entry.build)(&self.resources).await?,
            });
        }
        Ok(built)
    }
}

/// What does not fit in these services, each with its place: run at start and in the generated wiring test.
#[must_use]
pub fn wiring_problems(services: &[Service]) -> Vec<String> {
    let mut problems = Vec::new();
    if services.is_empty() {
        problems.push("nothing to run: pass at least one `service()`".to_owned());
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut claims: BTreeMap<String, (&str, RouteInfo)> = BTreeMap::new();
    for service in services {
        *names.entry(service.name).or_default() += 1;
        if service.entries.is_empty() && service.sagas.is_empty() {
            problems.push(format!(
                "service `{}` has no handler: add `#[command_service]` or `#[query_service]` to an impl block of \
                 its crate",
                service.name
            ));
        }
        let mut blocks: BTreeMap<&str, Option<At>> = BTreeMap::new();
        for entry in &service.entries {
            let at = (entry.routes)().first().map(|r| r.at);
            match (blocks.insert(entry.name, at), at) {
                (Some(Some(first)), Some(at)) => problems.push(format!(
                    "two blocks of `{}` are called `{}`: at {first} and at {at}; what a block has read is kept by \
                     its name, so give each its own",
                    service.name, entry.name
                )),
                _ => {}
            }
        }
        for route in service.routes() {
            let Some(claim) = claim(service.name, &route.door) else {
                continue;
            };
            match claims.get(&claim) {
                // The same crate passed twice is one problem, not one per handler.
                Some((_, first)) if first.at == route.at => {}
                Some((other, first)) => problems.push(format!(
                    "{} is handled twice: by `{other}` at {} and by `{}` at {}",
                    route.door, first.at, service.name, route.at
                )),
                None => {
                    claims.insert(claim, (service.name, route));
                }
            }
        }
    }
    let mut owners: BTreeMap<&str, (&str, At)> = BTreeMap::new();
    let mut sagas: BTreeMap<(&str, &str), At> = BTreeMap::new();
    for service in services {
        for aggregate in &service.aggregates {
            let owner = (service.name, aggregate.at);
            match owners.insert(aggregate.name, owner) {
                Some((other, at)) if at != aggregate.at => problems.push(format!(
                    "aggregate `{}` is declared twice: by `{other}` at {at} and by `{}` at {}; one service owns \
                     an aggregate, the others read it with `#[aggregate_ref]`",
                    aggregate.name, service.name, aggregate.at
                )),
                _ => {}
            }
        }
        for saga in &service.sagas {
            match sagas.insert((service.name, saga.name), saga.at) {
                Some(at) if at != saga.at => problems.push(format!(
                    "saga `{}` is declared twice in `{}`: at {at} and at {}",
                    saga.name, service.name, saga.at
                )),
                _ => {}
            }
        }
    }
    for (name, count) in names {
        if count > 1 {
            problems.push(format!(
                "{count} services are called `{name}`: give each its own name"
            ));
        }
    }
    problems
}

/// What only one handler may have: a command or query in the process, a verb and path in the service.
fn claim(service: &str, door: &Door) -> Option<String> {
    match door {
        Door::Command { topic } | Door::Query { topic } => Some((*topic).to_owned()),
        Door::Http { verb, path } => {
            // `{uuid}` and `{id}` match the same requests.
            let parts = path
                .split('/')
                .map(|p| if p.starts_with('{') { "{}" } else { p });
            Some(format!(
                "{service} {verb} {}",
                parts.collect::<Vec<_>>().join("/")
            ))
        }
        Door::Event { .. } => None,
    }
}
