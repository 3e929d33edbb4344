//! Services mounted below a path, such as static files.

mod body;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::convert::Infallible;
use std::ptr;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use helios_core::error::HttpError;
use helios_core::path::{has_dot_segment, normal_form};
use helios_core::request::RequestContext;
use helios_core::route::Template;
use http::{Request, StatusCode, Uri};
use tower::util::{BoxCloneSyncService, MapResponseLayer};
use tower::{BoxError, ServiceExt};
use tower_layer::Layer;
use tower_service::Service;

use crate::drain::{MountedAnswer, MountedAnswers};
use crate::panics::caught_in;
use crate::remote_addr::RemoteAddr;
use crate::routing::context::AppContext;
use crate::routing::endpoint::Pipeline;
use crate::routing::pipeline;
use body::drained;

/// A service that the app can store, whatever the type of its body was.
pub(crate) type BoxedService = BoxCloneSyncService<Request<Body>, Response, Infallible>;

pub(crate) fn boxed<S, B>(service: S) -> BoxedService
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: Into<Infallible>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let body = MapResponseLayer::new(|response: http::Response<B>| response.map(Body::new));
    BoxCloneSyncService::new(body.layer(service.map_err(Into::into)))
}

/// A service below a path.
pub(crate) struct Mount {
    /// Normalised. Begins with a slash and does not end with one; empty for a mount of everything.
    prefix: String,
    /// The prefix, as guards and filters see it.
    route: Arc<Template>,
    /// The guards, and the filters for their errors.
    pipeline: Pipeline,
    service: BoxedService,
}

impl Mount {
    /// Creates a mount. The prefix is normalised, as [`form_of_prefix`] returns it.
    pub(crate) fn new(prefix: String, pipeline: Pipeline, service: BoxedService) -> Self {
        Self {
            route: Arc::new(Template::join([prefix.as_str()])),
            prefix,
            pipeline,
            service,
        }
    }

    fn is_above(&self, form: &str) -> bool {
        let rest = form.strip_prefix(self.prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the target without the prefix, spelled as the client sent it.
    fn strip(&self, uri: &Uri) -> Option<Uri> {
        // The normalised path has as many slashes as the original.
        let slashes = self.prefix.matches('/').count();
        let path = match uri.path().match_indices('/').nth(slashes) {
            Some((at, _)) => &uri.path()[at..],
            None => "/",
        };
        let query = uri
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
        Uri::from_parts(parts).ok()
    }

    /// Runs the guards, and then calls the service.
    async fn answer(
        &self,
        request: Request<Body>,
        app: &AppContext,
        running: MountedAnswer,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let addr = RemoteAddr::of(&parts.extensions).map(|addr| addr.0);
        let mut request = RequestContext::new(parts, Arc::clone(&self.route), Vec::new(), addr);
        let asked = app.error_format.is_some().then(|| request.clone());
        let refused = |error| app.render(error, asked.as_ref());
        let Some(uri) = self.strip(request.uri()) else {
            return refused(HttpError::bad_request("the path cannot be read"));
        };
        let guarded = pipeline::guarded(&self.pipeline, &mut request, app, asked.as_ref());
        if let Err(answer) = guarded.await {
            return answer;
        }
        let mut request = Request::from_parts(request.into_parts(), body);
        *request.uri_mut() = uri;
        let answering = async { self.service.clone().oneshot(request).await };
        tokio::select! {
            biased;
            answer = caught_in("a mounted service", answering) => match answer {
                Some(Ok(response)) => drained(response, &method, running),
                None => refused(HttpError::internal("the mounted service panicked")),
            },
            () = running.over.cancelled() => {
                refused(HttpError::service_unavailable("the server shut down before the mounted service answered"))
            }
        }
    }
}

/// Normalises a mount's prefix.
pub(crate) fn form_of_prefix(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        inner => format!("/{}", normal_form(inner)),
    }
}

/// All mounts of an app.
pub(crate) struct Mounts {
    /// Sorted by length, the longest prefix first.
    mounts: Vec<Mount>,
    /// The first segments of controllers' prefixes. Paths below them belong to the app, not to a mount of everything.
    own: HashSet<String>,
    answers: Arc<MountedAnswers>,
}

impl Mounts {
    pub(crate) fn new(
        mut mounts: Vec<Mount>,
        own: HashSet<String>,
        answers: Arc<MountedAnswers>,
    ) -> Self {
        mounts.sort_by_key(|mount| Reverse(mount.prefix.len()));
        Self {
            mounts,
            own,
            answers,
        }
    }

    /// Answers a request that has no route. Without a mount, the answer is `error`.
    pub(crate) async fn answer(
        &self,
        request: Request<Body>,
        app: &AppContext,
        error: HttpError,
    ) -> Response {
        let found = match error.status() {
            StatusCode::NOT_FOUND => self.find(&normal_form(request.uri().path())),
            _ => Ok(None),
        };
        match found {
            Ok(Some(mount)) => mount.answer(request, app, self.answers.begin()).await,
            Ok(None) => render(request, app, error),
            Err(error) => render(request, app, error),
        }
    }

    /// Finds the mount above a path. Services interpret doubled and escaped slashes differently. A path that could then
    /// belong to another mount is refused, since it would bypass the guards of that mount.
    fn find(&self, form: &str) -> Result<Option<&Mount>, HttpError> {
        let found = self.below(form);
        let Some(other) = read_otherwise(form) else {
            return Ok(found);
        };
        let is_same = match (found, self.below(&other)) {
            (Some(mount), Some(other)) => ptr::eq(mount, other),
            (None, None) => true,
            _ => false,
        };
        if !is_same || (found.is_some() && has_dot_segment(&other)) {
            let detail = "a doubled or an escaped slash makes it unclear what the path means";
            return Err(HttpError::bad_request(detail));
        }
        Ok(found)
    }

    fn below(&self, form: &str) -> Option<&Mount> {
        let mount = self.mounts.iter().find(|mount| mount.is_above(form))?;
        let is_for_all = mount.prefix.is_empty();
        (!is_for_all || !self.own.contains(first_segment(form))).then_some(mount)
    }
}

fn render(request: Request<Body>, app: &AppContext, error: HttpError) -> Response {
    let (parts, _) = request.into_parts();
    let addr = RemoteAddr::of(&parts.extensions).map(|addr| addr.0);
    app.render(error, Some(&RequestContext::unrouted(parts, addr)))
}

pub(crate) fn first_segment(path: &str) -> &str {
    path.trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

/// Returns the path as services read it that decode and merge slashes, if it differs.
pub(crate) fn read_otherwise(form: &str) -> Option<String> {
    if !form.contains("//") && !form.contains("%2F") && !form.contains("%5C") {
        return None;
    }
    let decoded = form.replace("%2F", "/").replace("%5C", "/");
    let mut merged = String::with_capacity(decoded.len());
    for sign in decoded.chars() {
        if sign != '/' || !merged.ends_with('/') {
            merged.push(sign);
        }
    }
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(prefixes: &[&str]) -> Mounts {
        let nothing = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let mount =
            |prefix: &&str| Mount::new(form_of_prefix(prefix), Pipeline::default(), boxed(nothing));
        let own = HashSet::from(["api".to_owned()]);
        Mounts::new(prefixes.iter().map(mount).collect(), own, Arc::default())
    }

    /// Returns the prefix of the mount that is found, and the path that its service sees.
    fn seen(prefixes: &[&str], target: &str) -> Option<(String, String)> {
        let (mounts, uri) = (mounts(prefixes), target.parse::<Uri>().unwrap());
        let found = mounts.find(&normal_form(uri.path()));
        let mount = found.unwrap_or_else(|_| panic!("{target} is refused"))?;
        Some((mount.prefix.clone(), mount.strip(&uri)?.to_string()))
    }

    fn strip(prefix: &str, target: &str) -> Option<String> {
        seen(&[prefix], target).map(|(_, seen)| seen)
    }

    #[test]
    fn a_mount_sees_the_path_after_its_whole_prefix() {
        assert_eq!(
            strip("/static", "/static/a.css?v=1").as_deref(),
            Some("/a.css?v=1")
        );
        assert_eq!(strip("static/", "/static").as_deref(), Some("/"));
        assert_eq!(strip("/static", "/statically"), None);
        assert_eq!(strip("/", "/anything").as_deref(), Some("/anything"));
    }

    #[test]
    fn every_spelling_finds_the_mount_which_sees_the_one_sent() {
        assert_eq!(
            strip("/café/~me", "/caf%c3%a9/%7Eme/%7ea/").as_deref(),
            Some("/%7ea/")
        );
        assert_eq!(strip("%7Eme", "/~me").as_deref(), Some("/"));
        assert_eq!(
            strip("/static", "/static//a%2Fb").as_deref(),
            Some("//a%2Fb")
        );
    }

    #[test]
    fn the_longest_prefix_wins_whatever_the_order() {
        for prefixes in [
            ["/", "/a", "/a/b"],
            ["/a/b", "/a", "/"],
            ["/a", "/a/b", "/"],
        ] {
            let of = |target| seen(&prefixes, target).unwrap().0;
            assert_eq!(
                [of("/a/b/c"), of("/a/bc"), of("/%61"), of("/ab"), of("/")],
                ["/a/b", "/a", "/a", "", ""]
            );
        }
    }

    #[test]
    fn a_mount_of_everything_leaves_controllers_their_paths() {
        assert_eq!(seen(&["/"], "/api"), None);
        assert_eq!(seen(&["/"], "/%61pi/none"), None);
        assert_eq!(strip("/", "/apis").as_deref(), Some("/apis"));
        assert_eq!(strip("/api/docs", "/api/docs/a").as_deref(), Some("/a"));
        assert_eq!(strip("/api", "/api/a").as_deref(), Some("/a"));
    }

    #[test]
    fn no_slash_that_is_read_otherwise_leads_around_a_mount() {
        let mounts = mounts(&["/", "/admin", "/files"]);
        for path in [
            "//admin/x",
            "/admin%2Fx",
            "/admin%5cx",
            "/admin\\x",
            "/%2fadmin",
            "//%61dmin",
            "/files/..%2Fadmin/x",
            "/x%2F..%2Fadmin",
        ] {
            assert!(mounts.find(&normal_form(path)).is_err(), "{path}");
        }
        assert!(matches!(mounts.find("//api/x"), Ok(None)));
        for path in [
            "/admin//x",
            "/files/@a%2Fb",
            "//x",
            "/x//admin",
            "/x%2Fadmin",
        ] {
            assert!(mounts.find(&normal_form(path)).is_ok(), "{path}");
        }
    }
}
