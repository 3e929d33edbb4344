//! [`HttpError`], which a handler, guard or binder returns instead of a response. It is sent as RFC 9457 problem JSON.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::bounded::{bounded, cut, width};

/// The longest response, in bytes.
const LONGEST_PROBLEM: usize = 4_096;
/// The bytes of a problem without its texts and faults, which are the names of all members, the status, and a count.
const SKELETON: usize = 160;
/// The longest title, in bytes of JSON, as are all limits below.
const LONGEST_TITLE: usize = 200;
/// The longest detail that is made from input.
pub(crate) const LONGEST_DETAIL: usize = 1_000;
/// The longest name of a fault.
pub(crate) const LONGEST_NAME: usize = 128;
/// The longest text that says what was expected.
pub(crate) const LONGEST_EXPECTED: usize = 400;
/// The longest echo of a value.
pub(crate) const LONGEST_GOT: usize = 128;
/// The longest list of faults.
const LONGEST_FAULTS: usize = 2_560;

/// A failed request: a status, a text for the client, and the cause for the log.
///
/// It is sent as `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). For a 5xx the client
/// receives only the status and its title. The detail and the source go to the log and are never sent.
///
/// A response has at most 4 KiB. A detail that is longer than its faults leave room for is cut when it is sent, and
/// ends in `…`. [`with_fault`](Self::with_fault) says how many faults fit. Helios' own errors repeat nothing of a body,
/// a header or a cookie. Make sure that yours do not either.
///
/// ```
/// use helios::HttpError;
/// use std::error::Error;
///
/// fn parse(age: &str) -> Result<u8, HttpError> {
///     age.parse().map_err(|cause| {
///         HttpError::unprocessable("an age is a number up to 255")
///             .with_title("No such age")
///             .with_source(cause)
///     })
/// }
///
/// let error = parse("old").unwrap_err();
/// assert_eq!((error.status().as_u16(), error.title()), (422, "No such age"));
/// assert_eq!(error.detail(), "an age is a number up to 255");
/// assert_eq!(error.source().unwrap().to_string(), "invalid digit found in string");
/// ```
///
/// An error type of your own converts to it with `#[derive(HttpError)]`, or with a `From` of your own.
#[derive(Clone)]
pub struct HttpError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    status: StatusCode,
    title: Option<Cow<'static, str>>,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    omitted: usize,
    headers: HeaderMap,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The part of a request that has a [`Fault`]. In problem JSON it is the member `in`, in lower case.
///
/// ```
/// use helios::http::Location;
///
/// assert_eq!(serde_json::to_string(&Location::Header)?, r#""header""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Location {
    /// A parameter of the path template.
    Path,
    /// A key of the query string.
    Query,
    /// A request header.
    Header,
    /// A cookie.
    Cookie,
    /// The request body.
    Body,
}

/// A value of a request that could not be bound. It is an element of the problem's `errors` list (an extension member:
/// [RFC 9457, section 3.2](https://www.rfc-editor.org/rfc/rfc9457#section-3.2)).
///
/// Its texts are short. A longer `name` or `got` is cut to 128 bytes, and a longer `expected` or `message` to 400,
/// counted as within a JSON string.
///
/// ```
/// use helios::http::{Fault, HttpError, Location};
///
/// let mut fault = Fault::new(Location::Query, "size", "at most 100");
/// fault.got = Some("5000".into());
/// assert_eq!(fault.to_string(), "query parameter `size`: expected at most 100");
/// let error = HttpError::bad_request(fault.to_string()).with_fault(fault);
/// assert_eq!(error.faults().len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// The part of the request.
    #[serde(rename = "in")]
    pub location: Location,
    /// The name of the value in that part.
    pub name: Cow<'static, str>,
    /// The values that would have been accepted, in plain words, such as "a whole number from 0 to 255" or "true or
    /// false". It is empty, and not sent, if a validator has set `message`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// The message of a validator or of the type itself. A type's message is sent for path and query only, because it
    /// may quote the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The value that was sent instead. It is echoed for path and query only, because headers and bodies may hold
    /// secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.description())?;
        match (self.expected.as_str(), &self.message) {
            ("", message) => f.write_str(message.as_deref().unwrap_or("it is not valid")),
            (expected, None) => write!(f, "expected {expected}"),
            (expected, Some(message)) => write!(f, "expected {expected} ({message})"),
        }
    }
}

impl Fault {
    /// Creates a fault that echoes nothing.
    pub fn new(
        location: Location,
        name: impl Into<Cow<'static, str>>,
        expected: impl Into<String>,
    ) -> Self {
        let mut fault = Self {
            location,
            name: name.into(),
            expected: expected.into(),
            message: None,
            got: None,
        };
        fault.cut();
        fault
    }

    /// Cuts the texts to their limits, because their fields are public.
    fn cut(&mut self) {
        if let Cow::Owned(short) = cut(&self.name, LONGEST_NAME) {
            self.name = short.into();
        }
        if let Cow::Owned(short) = cut(&self.expected, LONGEST_EXPECTED) {
            self.expected = short;
        }
        if let Some(message) = &self.message {
            self.message = Some(cut(message, LONGEST_EXPECTED).into_owned());
        }
        if let Some(got) = &self.got {
            self.got = Some(cut(got, LONGEST_GOT).into_owned());
        }
    }

    /// Returns an upper bound of the fault's size in a problem, in bytes.
    fn width(&self) -> usize {
        /// `{"in":"header","name":"","expected":"","message":"","got":""},`
        const SKELETON: usize = 63;
        let got = self.got.as_deref().unwrap_or_default();
        let message = self.message.as_deref().unwrap_or_default();
        SKELETON + width(&self.name) + width(&self.expected) + width(message) + width(got)
    }

    /// Describes the faulty value for people.
    pub(crate) fn description(&self) -> String {
        let name = &self.name;
        match self.location {
            Location::Path if name.is_empty() => "path".to_owned(),
            Location::Query if name.is_empty() => "query".to_owned(),
            Location::Path => format!("path parameter `{name}`"),
            Location::Query => format!("query parameter `{name}`"),
            Location::Header => format!("header `{name}`"),
            Location::Cookie => format!("cookie `{name}`"),
            Location::Body if name.is_empty() => "body".to_owned(),
            Location::Body => format!("body field `{name}`"),
        }
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident = $status:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(detail: impl Into<Cow<'static, str>>) -> Self {
                Self::new(StatusCode::$status, detail)
            }
        )*
    };
}

impl HttpError {
    /// Creates an error with this status. `detail` is a sentence for the person who reads the response. A 5xx does not
    /// send it.
    ///
    /// ```
    /// use helios::{HttpError, prelude::StatusCode};
    ///
    /// let error = HttpError::new(StatusCode::LOCKED, "the document is being edited");
    /// assert_eq!(error.to_string(), "423 Locked: the document is being edited");
    /// ```
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            status,
            title: None,
            detail: detail.into(),
            faults: Vec::new(),
            omitted: 0,
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    constructors! {
        /// 400: the request cannot be understood.
        bad_request = BAD_REQUEST;
        /// 401: the request lacks valid credentials.
        unauthorized = UNAUTHORIZED;
        /// 403: the credentials do not allow this.
        forbidden = FORBIDDEN;
        /// 404: the resource does not exist.
        not_found = NOT_FOUND;
        /// 409: the request conflicts with the state of the resource.
        conflict = CONFLICT;
        /// 410: the resource existed, but is gone for good.
        gone = GONE;
        /// 413: the body is larger than allowed.
        payload_too_large = PAYLOAD_TOO_LARGE;
        /// 415: the body's content type is not accepted.
        unsupported_media_type = UNSUPPORTED_MEDIA_TYPE;
        /// 422: the request is well formed, but its values are not acceptable.
        unprocessable = UNPROCESSABLE_ENTITY;
        /// 429: too many requests. A native `EventSource` gives up on it for good.
        too_many_requests = TOO_MANY_REQUESTS;
        /// 500: the server itself failed. The detail is logged, not sent.
        internal = INTERNAL_SERVER_ERROR;
        /// 503: the server cannot handle the request now. The detail is logged, not sent.
        service_unavailable = SERVICE_UNAVAILABLE;
    }

    /// Keeps the cause, for the log and for [`Error::source`]. It is never sent.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Names the kind of problem. Without it the response has the title of its status. The title is sent with a 5xx
    /// too.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = Some(title.into());
        self
    }

    /// Adds a header to the response, such as `Retry-After` or `WWW-Authenticate`.
    ///
    /// ```
    /// use helios::HttpError;
    /// use http::{HeaderValue, header::RETRY_AFTER};
    ///
    /// let busy = HttpError::service_unavailable("the index is being built");
    /// let busy = busy.with_header(RETRY_AFTER, HeaderValue::from_static("30"));
    /// assert_eq!(busy.headers()[RETRY_AFTER], "30");
    /// ```
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Adds a faulty value to the problem's `errors`. See [`Fault`].
    ///
    /// All faults together have at most 2,560 bytes of JSON. Those that do not fit are only counted, in the member `omitted`.
    ///
    /// ```
    /// use helios::http::{Fault, HttpError, Location};
    ///
    /// let faults = (0..100).map(|n| Fault::new(Location::Body, format!("lines[{n}]"), "a number"));
    /// let error = faults.fold(HttpError::unprocessable("wrong lines"), HttpError::with_fault);
    /// assert_eq!(error.faults().len() + error.omitted_faults(), 100);
    /// assert!(error.omitted_faults() > 0);
    /// ```
    #[must_use]
    pub fn with_fault(mut self, mut fault: Fault) -> Self {
        fault.cut();
        let inner = &mut *self.0;
        let taken: usize = inner.faults.iter().map(Fault::width).sum();
        match inner.omitted == 0 && taken + fault.width() <= LONGEST_FAULTS {
            true => inner.faults.push(fault),
            false => inner.omitted = inner.omitted.saturating_add(1),
        }
        self
    }

    /// Counts faults that are left out.
    #[cfg_attr(not(feature = "validate"), allow(dead_code))]
    pub(crate) fn omitting(mut self, faults: usize) -> Self {
        self.0.omitted = self.0.omitted.saturating_add(faults);
        self
    }

    /// Reports `other`'s faults and detail together with this error's own. Different statuses become 400. `other`'s
    /// title, headers and source are lost. If exactly one of the two is a server error, only that one is reported.
    ///
    /// ```
    /// use helios::HttpError;
    ///
    /// let both = HttpError::bad_request("no name").merge(HttpError::unprocessable("too young"));
    /// assert_eq!((both.status().as_u16(), both.detail()), (400, "no name; too young"));
    /// assert_eq!(both.merge(HttpError::internal("no database")).status(), 500);
    /// ```
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        let is_ours = |error: &Self| error.status().is_server_error();
        match (is_ours(&self), is_ours(&other)) {
            (true, false) => return self,
            (false, true) => return other,
            _ => {}
        }
        if self.0.status != other.0.status {
            self.0.status = StatusCode::BAD_REQUEST;
            self.0.title = None;
        }
        let detail = format_args!("{}; {}", self.0.detail, other.0.detail);
        self.0.detail = bounded(detail, LONGEST_DETAIL).into();
        let omitted = other.0.omitted;
        let both = other.0.faults.into_iter().fold(self, Self::with_fault);
        both.omitting(omitted)
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the title given with [`with_title`](Self::with_title), or that of the status.
    #[must_use]
    pub fn title(&self) -> &str {
        let of_status = || self.0.status.canonical_reason().unwrap_or("Error");
        self.0.title.as_deref().unwrap_or_else(of_status)
    }

    /// Returns the text given at construction.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the faulty values, if the request could not be bound. [`with_fault`](Self::with_fault) limits them.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Returns how many faults were left out of [`faults`](Self::faults).
    #[must_use]
    pub fn omitted_faults(&self) -> usize {
        self.0.omitted
    }

    /// Returns the headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Returns the error as a client may see it. A 5xx has neither detail nor source.
    ///
    /// ```
    /// use helios::HttpError;
    ///
    /// let error = HttpError::internal("the password is hunter2").with_title("Out of order");
    /// assert_eq!(error.for_client().to_string(), "500 Internal Server Error");
    /// assert_eq!(error.for_client().title(), "Out of order");
    /// ```
    #[must_use]
    pub fn for_client(&self) -> Self {
        let mut told = self.clone();
        if told.status().is_server_error() {
            told.0.detail = Cow::Borrowed("");
            told.0.source = None;
        }
        told
    }

    /// Returns the problem as JSON, without anything that only the log may show ([RFC 9457, section
    /// 3](https://www.rfc-editor.org/rfc/rfc9457#section-3)).
    ///
    /// ```
    /// use helios::HttpError;
    ///
    /// assert_eq!(
    ///     HttpError::gone("moved to /v2").to_problem_json(),
    ///     r#"{"type":"about:blank","title":"Gone","status":410,"detail":"moved to /v2"}"#
    /// );
    /// let secret = HttpError::internal("the password is hunter2").to_problem_json();
    /// assert!(!secret.contains("hunter2"));
    /// ```
    #[must_use]
    pub fn to_problem_json(&self) -> String {
        let inner = &*self.0;
        let secret = inner.status.is_server_error();
        let title = cut(self.title(), LONGEST_TITLE);
        let faults: usize = inner.faults.iter().map(Fault::width).sum();
        let detail = cut(
            &inner.detail,
            LONGEST_PROBLEM - SKELETON - width(&title) - faults,
        );
        let problem = Problem {
            kind: "about:blank",
            title: &title,
            status: inner.status.as_u16(),
            detail: (!secret && !detail.is_empty()).then_some(&*detail),
            errors: &inner.faults,
            omitted: inner.omitted,
        };
        serde_json::to_string(&problem).unwrap_or_else(|_| r#"{"status":500}"#.to_owned())
    }

    /// Takes the error out of a response that was made from one. A layer or an interceptor uses it to learn why a
    /// request failed.
    ///
    /// The error is removed from the response's extensions. The response itself does not change.
    ///
    /// ```
    /// use helios::{HttpError, axum_core::response::IntoResponse};
    ///
    /// let mut response = HttpError::gone("moved to /v2").into_response();
    /// let error = HttpError::take_from(&mut response).unwrap();
    /// assert_eq!((error.detail(), response.status().as_u16()), ("moved to /v2", 410));
    /// assert!(HttpError::take_from(&mut response).is_none());
    /// ```
    pub fn take_from<B>(response: &mut Response<B>) -> Option<Self> {
        response.extensions_mut().remove()
    }
}

/// Creates the problem of a type with `#[derive(HttpError)]`.
#[doc(hidden)]
pub fn problem<E: Error + Send + Sync + 'static>(
    status: u16,
    title: Option<&'static str>,
    error: E,
) -> HttpError {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let problem = HttpError::new(status, error.to_string()).with_source(error);
    match title {
        Some(title) => problem.with_title(title),
        None => problem,
    }
}

/// Creates the problem from the error that such a type holds.
#[doc(hidden)]
pub fn transparent<E>(error: E) -> HttpError
where
    HttpError: From<E>,
{
    error.into()
}

/// The problem of RFC 9457, section 3.1. `errors` and `omitted` are extension members (section 3.2).
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(skip_serializing_if = "is_zero")]
    omitted: usize,
}

// serde calls this with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_problem_json()));
        *response.status_mut() = self.0.status;
        response.headers_mut().clone_from(&self.0.headers);
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.status)?;
        if self.0.detail.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0.detail)
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpError")
            .field("status", &self.0.status)
            .field("detail", &self.0.detail)
            .field("faults", &self.0.faults)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

/// An error whose status Helios knows, so that `?` turns it into an [`HttpError`]. An app's own errors derive
/// `HttpError`, which gives each a `From` of its own. For all other errors, the compiler's message says what to write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become an `HttpError`",
    label = "Helios does not guess its status: write `.map_err(|error| HttpError::internal(\"what failed\").with_source(error))`, or derive `HttpError` on an error of your own",
    note = "a variant that holds it states a status, `#[http(status = 500)]`, and is not `transparent`"
)]
pub trait IntoHttpError {
    /// Converts the error, with its status.
    fn into_http_error(self) -> HttpError;
}

impl<E: IntoHttpError> From<E> for HttpError {
    fn from(error: E) -> Self {
        error.into_http_error()
    }
}

impl IntoHttpError for StatusCode {
    fn into_http_error(self) -> HttpError {
        HttpError::new(self, "")
    }
}

impl IntoHttpError for Infallible {
    fn into_http_error(self) -> HttpError {
        match self {}
    }
}

/// Returns the error itself, or the first of its sources, that has the type.
#[must_use]
pub fn find_cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_error_sends_neither_detail_nor_source() {
        let error = HttpError::internal("db password is hunter2").with_source("hunter2");
        let problem = error.to_problem_json();
        assert_eq!(
            problem,
            r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#
        );
        assert!(error.source().is_some());
    }

    #[test]
    fn faults_of_several_values_are_told_together() {
        let fault = |name| Fault::new(Location::Query, name, "u64");
        let error = HttpError::bad_request("one")
            .with_fault(fault("a"))
            .merge(HttpError::unprocessable("two").with_fault(fault("b")));
        assert_eq!(error.status(), 400);
        assert_eq!(error.faults().len(), 2);
        assert!(error.to_problem_json().contains(r#""detail":"one; two""#));
    }

    #[test]
    fn an_error_of_any_texts_fits_the_longest_answer() {
        let long = |text: &str| text.repeat(5_000);
        for text in ["\u{1}", "\"", "ë", "x"].map(long) {
            let mut fault = Fault::new(Location::Header, text.clone(), text.clone());
            fault.got = Some(text.clone());
            for faults in 0..8 {
                let error = HttpError::bad_request(text.clone()).with_title(text.clone());
                let error = (0..faults).fold(error, |error, _| error.with_fault(fault.clone()));
                let merged = error.clone().merge(error.clone().omitting(usize::MAX / 2));
                for error in [error, merged] {
                    let problem = error.to_problem_json();
                    assert!(problem.len() <= LONGEST_PROBLEM, "{}", problem.len());
                    let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
                    assert!(problem["detail"].as_str().unwrap().ends_with('…'));
                }
            }
        }
    }
}
