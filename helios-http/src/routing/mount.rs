//! Services of others below a path, such as static files.

use std::convert::Infallible;

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use helios_core::error::HttpError;
use helios_core::path::normal_form;
use http::{Request, Uri};
use tower::util::{BoxCloneSyncService, MapResponseLayer};
use tower::{BoxError, ServiceExt};
use tower_layer::Layer;
use tower_service::Service;

use crate::panics::caught_in;

/// A service with any body as one that the app can keep.
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
    /// In the one form of paths. Begins with a slash and does not end with one; empty for everything.
    prefix: String,
    service: BoxedService,
}

impl Mount {
    pub(crate) fn new(prefix: &str, service: BoxedService) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            inner => format!("/{}", normal_form(inner)),
        };
        Self { prefix, service }
    }

    /// What the service sees of this target, as it was spelled; `None` if it is not below the prefix.
    fn strip(&self, uri: &Uri) -> Option<Uri> {
        let form = normal_form(uri.path());
        let rest = form.strip_prefix(self.prefix.as_str())?;
        if !(rest.is_empty() || rest.starts_with('/')) {
            return None;
        }
        // The form has as many slashes as the path.
        let slashes = self.prefix.matches('/').count();
        let path = match uri.path().match_indices('/').nth(slashes) {
            Some((at, _)) => &uri.path()[at..],
            None => "/",
        };
        let query = uri
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        format!("{path}{query}").parse().ok()
    }
}

/// Answers with the first mount that the target is below, with an error if it panics; `None` if there is none.
pub(crate) async fn answer(
    mounts: &[Mount],
    mut request: Request<Body>,
) -> Option<Result<Response, HttpError>> {
    let found = {
        let uri = request.uri();
        let below = |mount| Mount::strip(mount, uri).map(|rest| (mount, rest));
        mounts.iter().find_map(below)
    };
    let (mount, uri) = found?;
    *request.uri_mut() = uri;
    let answering = async { mount.service.clone().oneshot(request).await };
    let answered = caught_in("a mounted service", answering).await;
    let panicked = || HttpError::internal("the mounted service panicked");
    Some(answered.map(|Ok(response)| response).ok_or_else(panicked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(prefix: &str, target: &str) -> Option<String> {
        let nothing = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let stripped = Mount::new(prefix, boxed(nothing)).strip(&target.parse().unwrap());
        stripped.map(|uri| uri.to_string())
    }

    #[test]
    fn a_mount_sees_the_rest_of_the_path_and_only_whole_segments_count() {
        assert_eq!(
            strip("/static", "/static/a.css?v=1").as_deref(),
            Some("/a.css?v=1")
        );
        assert_eq!(strip("static/", "/static").as_deref(), Some("/"));
        assert_eq!(strip("/static", "/statically"), None);
        assert_eq!(strip("/", "/anything").as_deref(), Some("/anything"));
    }

    #[test]
    fn a_mount_is_found_by_every_spelling_and_sees_the_one_that_was_sent() {
        assert_eq!(
            strip("/café/~me", "/caf%c3%a9/%7Eme/%7ea/").as_deref(),
            Some("/%7ea/")
        );
        assert_eq!(strip("%7Eme", "/~me").as_deref(), Some("/"));
        assert_eq!(strip("/a%2Fb", "/a/b"), None);
    }
}
