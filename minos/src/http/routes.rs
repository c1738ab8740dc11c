//! Which handler a path and a verb belong to.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    enroute::{At, Door, Handlers},
    error::{Failure, Kind, Result},
};

/// All routes of one service, as a tree of path segments.
#[derive(Debug, Default)]
pub(super) struct Table {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    fixed: BTreeMap<&'static str, Node>,
    any: Option<Box<Node>>,
    /// By verb.
    ends: BTreeMap<&'static str, Route>,
}

/// Where a route leads.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) verb: &'static str,
    pub(super) path: &'static str,
    /// The place in the list of handlers.
    pub(super) handlers: usize,
    /// The place in its list of routes.
    pub(super) route: usize,
    /// The names of the path's parameters, in their order.
    names: Vec<&'static str>,
    at: At,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found<'t> {
    /// A route, and its path parameters in their order.
    Route(&'t Route, Vec<(&'static str, String)>),
    /// The path is known, but not with this verb; with these.
    OtherVerb(BTreeSet<&'static str>),
    Nothing,
}

impl Table {
    /// The HTTP routes of these handlers.
    ///
    /// # Errors
    /// [`Kind::Wiring`] for two routes that answer the same requests, and for a path that is Minos's own.
    pub(super) fn new(handlers: &[Handlers]) -> Result<Self> {
        let mut table = Self::default();
        for (place, one) in handlers.iter().enumerate() {
            for (number, info) in one.routes.iter().enumerate() {
                if let Door::Http { verb, path } = info.door {
                    table.add(Route {
                        verb,
                        path,
                        handlers: place,
                        route: number,
                        names: Vec::new(),
                        at: info.at,
                    })?;
                }
            }
        }
        Ok(table)
    }

    fn add(&mut self, mut route: Route) -> Result<()> {
        let (verb, path, at) = (route.verb, route.path, route.at);
        if let Some(ours @ ("system" | "spec")) = segments(path).next() {
            let text = format!(
                "`{verb} {path}` at {at}: paths below `/{ours}` are Minos's own; choose another"
            );
            return Err(Failure::new(Kind::Wiring, text).into());
        }
        let mut node = &mut self.root;
        for segment in segments(path) {
            node = match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => {
                    route.names.push(name);
                    node.any.get_or_insert_default()
                }
                None => node.fixed.entry(segment).or_default(),
            };
        }
        if let Some(first) = node.ends.get(verb) {
            let text = format!(
                "`{verb} {path}` is handled twice: at {} and at {at}",
                first.at
            );
            return Err(Failure::new(Kind::Wiring, text).into());
        }
        node.ends.insert(verb, route);
        Ok(())
    }

    /// The route for a verb and a path of decoded segments. A fixed segment wins over a parameter, from left to
    /// right; a more specific path that lacks the verb does not hide another that has it.
    pub(super) fn find(&self, verb: &str, path: &[String]) -> Found<'_> {
        let mut search = Search {
            verb,
            values: Vec::new(),
            verbs: BTreeSet::new(),
        };
        match search.below(&self.root, path) {
            Some(route) => {
                let names = route.names.iter().copied();
                let values = search.values.into_iter().cloned();
                Found::Route(route, names.zip(values).collect())
            }
            None if search.verbs.is_empty() => Found::Nothing,
            None => Found::OtherVerb(search.verbs),
        }
    }
}

struct Search<'p> {
    verb: &'p str,
    values: Vec<&'p String>,
    verbs: BTreeSet<&'static str>,
}

impl<'p> Search<'p> {
    fn below<'t>(&mut self, node: &'t Node, path: &'p [String]) -> Option<&'t Route> {
        let Some((segment, rest)) = path.split_first() else {
            return self.end(node);
        };
        if let Some(next) = node.fixed.get(segment.as_str())
            && let Some(route) = self.below(next, rest)
        {
            return Some(route);
        }
        let next = node.any.as_ref().filter(|_| !segment.is_empty())?;
        self.values.push(segment);
        let found = self.below(next, rest);
        if found.is_none() {
            self.values.pop();
        }
        found
    }

    fn end<'t>(&mut self, node: &'t Node) -> Option<&'t Route> {
        let found = node.ends.get(self.verb).or_else(|| {
            // The answer to HEAD is that to GET without its body.
            (self.verb == "HEAD").then(|| node.ends.get("GET"))?
        });
        if found.is_none() {
            self.verbs.extend(node.ends.keys());
            if node.ends.contains_key("GET") {
                self.verbs.insert("HEAD");
            }
        }
        found
    }
}

/// The segments of a path; none for `/`.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    inner.split('/').filter(move |_| !inner.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::Context,
        enroute::{Answer, BoxFuture, Raw, Role, RouteInfo, private::Dispatch},
    };

    struct Silent;

    impl Dispatch for Silent {
        fn call<'a>(&'a self, _: usize, _: &'a Context, _: &'a Raw) -> BoxFuture<'a, Answer> {
            unreachable!("routes are only looked up")
        }
    }

    fn table(routes: &[(&'static str, &'static str)]) -> Result<Table> {
        let routes = (1..).zip(routes).map(|(line, (verb, path))| RouteInfo {
            door: Door::Http { verb, path },
            at: At::new("h", "a.rs", line),
        });
        Table::new(&[Handlers {
            name: "Foo",
            role: Role::Command,
            routes: routes.collect(),
            dispatch: std::sync::Arc::new(Silent),
        }])
    }

    fn find(table: &Table, verb: &str, path: &str) -> String {
        let path: Vec<String> = segments(path).map(str::to_owned).collect();
        match table.find(verb, &path) {
            Found::Route(route, params) => {
                let params: Vec<_> = params.iter().map(|(k, v)| format!(" {k}={v}")).collect();
                format!("{} {}{}", route.verb, route.path, params.concat())
            }
            Found::OtherVerb(verbs) => verbs.into_iter().collect::<Vec<_>>().join(","),
            Found::Nothing => "-".to_owned(),
        }
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let table = table(&[
            ("POST", "/foos/{uuid}"),
            ("POST", "/foos/add-foobar"),
            ("GET", "/foos/{id}"),
            ("GET", "/foos/{uuid}/bars/{bar}"),
            ("GET", "/{any}/mine/bars"),
            ("GET", "/"),
        ])
        .unwrap();
        for (verb, path, found) in [
            ("POST", "/foos/add-foobar", "POST /foos/add-foobar"),
            ("POST", "/foos/1", "POST /foos/{uuid} uuid=1"),
            ("GET", "/foos/1", "GET /foos/{id} id=1"),
            ("GET", "/foos/add-foobar", "GET /foos/{id} id=add-foobar"),
            (
                "GET",
                "/foos/1/bars/2",
                "GET /foos/{uuid}/bars/{bar} uuid=1 bar=2",
            ),
            ("GET", "/foos/mine/bars", "GET /{any}/mine/bars any=foos"),
            ("GET", "/", "GET /"),
            ("HEAD", "/foos/1", "GET /foos/{id} id=1"),
            ("PUT", "/foos/1", "GET,HEAD,POST"),
            ("GET", "/foos/", "-"),
            ("GET", "/foos", "-"),
            ("GET", "/foos/1/", "-"),
            ("GET", "/foos//bars/2", "-"),
            ("get", "/foos/1", "GET,HEAD,POST"),
        ] {
            assert_eq!(find(&table, verb, path), found, "{verb} {path}");
        }
    }

    #[test]
    fn two_routes_for_one_request_are_refused() {
        let error = table(&[("GET", "/foos/{a}"), ("GET", "/foos/{b}")]).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Wiring));
        assert!(
            error.to_string().contains("at a.rs:1 and at a.rs:2"),
            "{error}"
        );
    }

    #[test]
    fn the_system_paths_are_ours() {
        let error = table(&[("GET", "/system/health")]).unwrap_err();
        assert!(error.to_string().contains("a.rs:1"), "{error}");
        assert!(table(&[("GET", "/systems")]).is_ok());
    }
}
