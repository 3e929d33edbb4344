//! From method and path to an endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use helios_core::bounded::bounded;
use helios_core::error::HttpError;
use helios_core::route::{RouteKind, Verb};
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::error::{Place, StartupFault};
use crate::routing::endpoint::Endpoint;
use crate::sse::options::StreamOptions;

/// The longest path that is told not to be there, in bytes.
const LONGEST_PATH: usize = 200;

/// All routes of an app. One slash at the end of a path does not matter: `/user/` is answered as `/user` is, without a
/// redirect, which an `EventSource` across origins would not survive.
#[derive(Default)]
pub(crate) struct Router {
    paths: matchit::Router<usize>,
    nodes: Vec<Node>,
}

/// The endpoints of one path, by verb.
#[derive(Default)]
struct Node {
    endpoints: Vec<Arc<Endpoint>>,
    allow: String,
}

/// What a request meets.
pub(crate) enum Matched {
    /// An endpoint, with the decoded parameters of the path.
    Endpoint(Arc<Endpoint>, Vec<String>),
    /// No handler, but an answer: OPTIONS.
    Options(HeaderValue),
}

impl Router {
    /// Notes in `faults` which endpoints cannot be told apart.
    pub(crate) fn new(endpoints: Vec<Endpoint>, faults: &mut Vec<StartupFault>) -> Self {
        let mut router = Self::default();
        let mut known = HashMap::new();
        for endpoint in endpoints {
            match router.node(&mut known, &endpoint) {
                Ok(node) => faults.extend(node.add(endpoint)),
                Err(fault) => faults.push(fault),
            }
        }
        router.nodes.iter_mut().for_each(Node::note_allowed);
        router
    }

    /// The node of an endpoint's path, made on first use.
    fn node(
        &mut self,
        known: &mut HashMap<String, usize>,
        endpoint: &Endpoint,
    ) -> Result<&mut Node, StartupFault> {
        let shape = shape(endpoint.template.as_str());
        let index = match known.get(&shape) {
            Some(index) => *index,
            None => {
                let index = self.nodes.len();
                let inserted = self.paths.insert(shape.clone(), index);
                inserted.map_err(|error| StartupFault::Ambiguous {
                    place: place(endpoint),
                    path: endpoint.template.as_str().to_owned(),
                    reason: error.to_string(),
                })?;
                self.nodes.push(Node::default());
                known.insert(shape, index);
                index
            }
        };
        Ok(&mut self.nodes[index])
    }

    /// Finds the endpoint of a request.
    ///
    /// # Errors
    ///
    /// 404, 405 with `Allow`, or 400 for a path that is not percent-encoded UTF-8.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<Matched, HttpError> {
        let trimmed = match path.strip_suffix('/') {
            Some("") | None => path,
            Some(trimmed) => trimmed,
        };
        let missing =
            || HttpError::not_found(format!("nothing is at {}", bounded(path, LONGEST_PATH)));
        let found = self.paths.at(trimmed).map_err(|_| missing())?;
        let node = self.nodes.get(*found.value).ok_or_else(missing)?;
        if let Some(endpoint) = node.endpoint(method) {
            let params = found.params.iter().map(|(_, value)| decoded(value));
            let params = params.collect::<Result<_, _>>()?;
            return Ok(Matched::Endpoint(Arc::clone(endpoint), params));
        }
        let allow = HeaderValue::from_str(&node.allow).map_err(|_| missing())?;
        if *method == Method::OPTIONS {
            return Ok(Matched::Options(allow));
        }
        let detail = format!("this path answers {}", node.allow);
        Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_header(ALLOW, allow))
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.nodes
            .iter()
            .flat_map(|node| node.endpoints.iter().map(Arc::as_ref))
    }
}

impl Node {
    fn add(&mut self, endpoint: Endpoint) -> Option<StartupFault> {
        let verb = endpoint.meta.verb;
        if let Some(first) = self.with_verb(verb) {
            return Some(StartupFault::Collision {
                first: place(first),
                second: place(&endpoint),
                verb,
                path: endpoint.template.as_str().to_owned(),
            });
        }
        self.endpoints.push(Arc::new(endpoint));
        None
    }

    fn with_verb(&self, verb: Verb) -> Option<&Arc<Endpoint>> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.meta.verb == verb)
    }

    /// The method's own endpoint; for HEAD the one of GET; else the one for any method.
    fn endpoint(&self, method: &Method) -> Option<&Arc<Endpoint>> {
        let verb = Verb::of(method);
        let own = verb.and_then(|verb| self.with_verb(verb));
        let head = || match verb {
            Some(Verb::Head) => self.with_verb(Verb::Get),
            _ => None,
        };
        own.or_else(head).or_else(|| self.with_verb(Verb::Any))
    }

    fn note_allowed(&mut self) {
        let mut verbs: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| endpoint.meta.verb)
            .collect();
        if verbs.contains(&Verb::Get) {
            verbs.push(Verb::Head);
        }
        verbs.push(Verb::Options);
        verbs.sort_unstable();
        verbs.dedup();
        let names: Vec<_> = verbs.into_iter().map(Verb::as_str).collect();
        self.allow = names.join(", ");
    }
}

pub(crate) fn place(endpoint: &Endpoint) -> Place {
    Place {
        controller: endpoint.controller,
        handler: endpoint.meta.handler,
    }
}

/// The template with numbered parameters: `/a/{id}` and `/a/{name}` are the same path to the router.
fn shape(template: &str) -> String {
    let mut count = 0;
    let segments = template.split('/').map(|segment| {
        let Some((before, rest)) = segment.split_once('{') else {
            return segment.to_owned();
        };
        let Some((name, after)) = rest.split_once('}') else {
            return segment.to_owned();
        };
        count += 1;
        let star = if name.starts_with('*') { "*" } else { "" };
        format!("{before}{{{star}p{count}}}{after}")
    });
    segments.collect::<Vec<_>>().join("/")
}

fn decoded(value: &str) -> Result<String, HttpError> {
    let text = percent_decode_str(value).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| HttpError::bad_request("the path is not percent-encoded UTF-8"))
}

/// A route as it is listed.
///
/// ```
/// use helios::http::{RouteInfo, RouteKind, Routes};
///
/// fn streams(routes: &Routes) -> Vec<&RouteInfo> {
///     let is_stream = |route: &&RouteInfo| matches!(route.kind, RouteKind::Sse);
///     routes.0.iter().filter(is_stream).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The method.
    pub verb: Verb,
    /// The whole path template, such as `/api/user/{id}`.
    pub path: String,
    /// Controller and method, such as `User::find`.
    pub handler: String,
    /// What it gives.
    pub kind: RouteKind,
    /// The options of its streams, if it gives any.
    pub stream: Option<StreamOptions>,
}

/// The routes of an app, by path and method, from [`HeliosService::routes`](crate::HeliosService::routes). Its `Display` is
/// a table for people, which `listen` prints. The answers to HEAD and OPTIONS that no handler gives are not among them.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(prefix = "user")]
/// impl User {
///     #[get("{id}")]
///     fn find(&self, #[param] id: u64) -> String { id.to_string() }
///
///     #[post]
///     fn create(&self) {}
/// }
///
/// #[server(prefix = "api", controllers = [User])]
/// struct App;
///
/// let service = Helios::new(App).into_service()?;
/// assert_eq!(service.routes().0[1].handler, "User::find");
/// assert_eq!(
///     service.routes().to_string(),
///     "method   path            handler       kind\n\
///      POST     /api/user       User::create  http\n\
///      GET      /api/user/{id}  User::find    http"
/// );
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(pub Vec<RouteInfo>);

impl Routes {
    pub(crate) fn of(router: &Router) -> Self {
        let mut routes: Vec<_> = router
            .endpoints()
            .map(|endpoint| RouteInfo {
                verb: endpoint.meta.verb,
                path: endpoint.template.as_str().to_owned(),
                handler: format!("{}::{}", endpoint.controller, endpoint.meta.handler),
                kind: endpoint.meta.kind,
                stream: endpoint.stream_options().cloned(),
            })
            .collect();
        routes.sort_by(|a, b| (&a.path, a.verb).cmp(&(&b.path, b.verb)));
        Self(routes)
    }
}

impl std::fmt::Display for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = |width: fn(&RouteInfo) -> usize, title: &str| {
            self.0.iter().map(width).max().unwrap_or(0).max(title.len())
        };
        let path = column(|route| route.path.len(), "path");
        let handler = column(|route| route.handler.len(), "handler");
        write!(
            f,
            "{:<7}  {:<path$}  {:<handler$}  kind",
            "method", "path", "handler"
        )?;
        for route in &self.0 {
            let RouteInfo { verb, kind, .. } = route;
            write!(
                f,
                "\n{verb:<7}  {:<path$}  {:<handler$}  {kind}",
                route.path, route.handler
            )?;
            if let Some(options) = route.stream.as_ref().map(ToString::to_string)
                && !options.is_empty()
            {
                write!(f, "   {options}")?;
            }
        }
        Ok(())
    }
}
