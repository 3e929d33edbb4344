//! One call of a handler, with the request while arguments are bound and the response head that it may set.

use std::any::Any;
use std::sync::Arc;

use axum_core::body::Body;
use http::HeaderMap;

use crate::container::Container;
use crate::error::HttpError;
use crate::query_string::{self, Pair};
use crate::request::{RequestContext, ResponseHead};

/// The source from which binders take arguments. It collects failures, so that a request is refused with all of them at
/// once.
pub struct Call {
    /// The request's head.
    pub request: RequestContext,
    /// The runtime's state of the stream that this call opens. [`crate::bind::argument`] gets the stream's handle from
    /// it.
    pub stream: Option<Arc<dyn Any + Send + Sync>>,
    head: ResponseHead,
    container: Arc<Container>,
    body: Option<Body>,
    body_limit: usize,
    query: Option<Vec<Pair>>,
    refusal: Option<HttpError>,
}

impl Call {
    /// Creates a call with this request, which sets `head`. Bodies over `body_limit` bytes are refused.
    #[must_use]
    pub fn new(
        request: RequestContext,
        head: ResponseHead,
        body: Body,
        body_limit: usize,
        container: Arc<Container>,
    ) -> Self {
        Self {
            request,
            stream: None,
            head,
            container,
            body: Some(body),
            body_limit,
            query: None,
            refusal: None,
        }
    }

    /// Returns a handle that sets the head of the handler's response.
    #[must_use]
    pub fn response_head(&self) -> ResponseHead {
        self.head.clone()
    }

    /// Returns the app's singletons.
    #[must_use]
    pub fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// Returns a call without a body, for a hook that sees the same request and stream.
    #[must_use]
    pub fn for_hook(&self) -> Self {
        let body = Body::empty();
        let container = Arc::clone(&self.container);
        let head = ResponseHead::default();
        let mut call = Self::new(self.request.clone(), head, body, self.body_limit, container);
        call.stream.clone_from(&self.stream);
        call
    }

    /// Returns the response to a request whose arguments could not all be bound.
    #[must_use]
    pub fn refusal(&mut self) -> HttpError {
        self.refusal
            .take()
            .unwrap_or_else(|| HttpError::internal("an argument failed to bind without a reason"))
    }

    pub(crate) fn refuse(&mut self, error: HttpError) {
        self.refusal = Some(match self.refusal.take() {
            Some(earlier) => earlier.merge(error),
            None => error,
        });
    }

    /// Notes the failure of an argument, or returns its value.
    pub(crate) fn note<T>(&mut self, bound: Result<T, HttpError>) -> Option<T> {
        bound.map_err(|error| self.refuse(error)).ok()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.body_limit
    }

    pub(crate) fn take_body(&mut self) -> Body {
        self.body.take().unwrap_or_default()
    }

    /// Returns the decoded pairs of the query string. They are parsed once.
    pub(crate) fn query(&mut self) -> &[Pair] {
        let uri = self.request.uri();
        self.query
            .get_or_insert_with(|| query_string::parse(uri.query().unwrap_or_default().as_bytes()))
    }
}
