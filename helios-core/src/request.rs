//! The request as a handler sees it, and the head of its response.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version,
};
use percent_encoding::percent_decode_str;

use crate::cookie::{Cookie, written_name};
use crate::event::is_valid_id;
use crate::route::Template;
use crate::{query_string, text};

/// The header in which a client sends the id at which it stopped, as `#[header]` names it.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

/// The longest `Last-Event-ID` that is accepted, in bytes.
const LONGEST_EVENT_ID: usize = 1_024;

/// The head of the current request, with what routing found out about it. Handlers and connection hooks get it with
/// `#[req]`. Guards, interceptors and filters receive it as an argument.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Echo;
///
/// #[controller(prefix = "echo")]
/// impl Echo {
///     #[get("{word}")]
///     fn echo(&self, #[param] word: &str, #[req] request: &RequestContext) -> String {
///         let agent = request.header("user-agent").unwrap_or("somebody");
///         format!("{} {}: {agent} says {word}", request.method(), request.route())
///     }
/// }
/// # #[server(controllers = [Echo])]
/// # struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use helios::testing::TestApp;
///
/// let app = TestApp::start(App).unwrap();
/// let echo = app.get("/echo/b%20c").header("user-agent", "curl").await;
/// assert_eq!(echo.text(), "GET /echo/{word}: curl says b c");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RequestContext(
    /// Boxed, because it is large and passed on often.
    Box<Inner>,
);

#[derive(Clone, Debug)]
struct Inner {
    parts: Parts,
    path: PathParams,
    remote_addr: Option<SocketAddr>,
}

impl RequestContext {
    /// Joins a request head and its route. `params` are the decoded values of the template's parameters, in their
    /// order.
    #[doc(hidden)]
    #[must_use]
    pub fn new(
        parts: Parts,
        route: Arc<Template>,
        params: Vec<String>,
        remote_addr: Option<SocketAddr>,
    ) -> Self {
        let values = params.into();
        Self(Box::new(Inner {
            parts,
            path: PathParams { route, values },
            remote_addr,
        }))
    }

    /// Creates a request that no route matched.
    #[doc(hidden)]
    #[must_use]
    pub fn unrouted(parts: Parts, remote_addr: Option<SocketAddr>) -> Self {
        Self::new(parts, Arc::default(), Vec::new(), remote_addr)
    }

    /// Moves the request out, and leaves one that only knows its route.
    #[doc(hidden)]
    #[must_use]
    pub fn take(&mut self) -> Self {
        let (parts, ()) = http::Request::new(()).into_parts();
        let path = PathParams {
            route: Arc::clone(&self.0.path.route),
            values: Arc::default(),
        };
        let left = Inner {
            parts,
            path,
            remote_addr: self.0.remote_addr,
        };
        std::mem::replace(self, Self(Box::new(left)))
    }

    /// Returns the head of the request, with the values that guards have put into its extensions.
    #[doc(hidden)]
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.0.parts
    }

    /// Returns the method as it was sent. For an automatic HEAD it is `HEAD`.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.parts.method
    }

    /// Returns the request target.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.parts.uri
    }

    /// Returns the HTTP version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.parts.version
    }

    /// Returns all headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.parts.headers
    }

    /// Returns the first value of a header, or `None` if there is none. A value that is not UTF-8 counts as absent. The
    /// name's case does not matter ([RFC 9110, section 5.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.1)).
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn language(request: &RequestContext) -> &str {
    ///     request.header("accept-language").unwrap_or("en")
    /// }
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        text::values(self.headers(), name).next()
    }

    /// Returns the value of a cookie, percent-decoded. If several cookies have this name, as with the paths `/` and
    /// `/app`, it is the first, which has the longest path ([RFC 6265, section
    /// 5.4](https://www.rfc-editor.org/rfc/rfc6265#section-5.4)). A cookie that is not UTF-8 counts as absent.
    ///
    /// The name is compared as it was sent. So `%5F_Host-id` is not `__Host-id`, which only the site's own host can
    /// set. A name that a header cannot contain, such as `my cart`, is also found in the spelling of [`Cookie`]. Quotes
    /// are part of the value.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn theme(request: &RequestContext) -> String {
    ///     request.cookie("theme").unwrap_or_else(|| "light".to_owned())
    /// }
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies(name).next().map(Cow::into_owned)
    }

    /// Returns the values of all cookies of this name. Unreadable ones are skipped, because browsers also send cookies
    /// that others have set.
    pub(crate) fn cookies(&self, name: &str) -> impl Iterator<Item = Cow<'_, str>> {
        let cookies = text::elements(self.headers(), COOKIE, b';').flatten();
        let written = written_name(name);
        cookies.filter_map(move |cookie| {
            let (own, value) = cookie.split_once('=')?;
            // Only ASCII is trimmed, and no name is decoded, so that no other name passes for one that browsers
            // protect.
            let own = own.trim_ascii_end();
            let is_asked_for = own == name || own == written;
            let value = is_asked_for.then(|| percent_decode_str(value.trim_ascii_start()))?;
            value.decode_utf8().ok()
        })
    }

    /// Returns the template of the matched route, such as `/user/{id}`. It is empty if no route matched, as
    /// `error_format` sees it.
    #[must_use]
    pub fn route(&self) -> &str {
        self.0.path.route.as_str()
    }

    /// Returns a parameter of the path by its name in the template, percent-decoded. This includes parameters in the
    /// prefix of an enclosing controller.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct OwnPages;
    ///
    /// impl Guard for OwnPages {
    ///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
    ///         match (request.param("user"), request.header("x-user")) {
    ///             (Some(owner), Some(user)) if owner == user => Ok(()),
    ///             _ => Err(HttpError::forbidden("these are somebody else's pages")),
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.0.path.get(name)
    }

    /// Returns the first value of a key of the query string, decoded. Returns `None` if there is none, or if it is not
    /// percent-encoded UTF-8.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn ticket(request: &RequestContext) -> Result<String, HttpError> {
    ///     request.query("ticket").ok_or_else(|| HttpError::unauthorized("ask for a ticket first"))
    /// }
    /// ```
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = query_string::parse(self.0.parts.uri.query()?.as_bytes());
        let found = pairs
            .into_iter()
            .find(|pair| pair.key.as_deref() == Some(name));
        found?.value
    }

    /// Returns the id at which a reconnecting client stopped. It comes from the `Last-Event-ID` header or, for first
    /// connections, from the `lastEventId` key of the query string, because a page cannot set headers on an
    /// `EventSource`. An empty id counts as absent ([WHATWG HTML, section
    /// 9.2.4](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header)). So does an id
    /// of more than 1 KiB, one that is not UTF-8, and one that no event can have, with a CR, an LF or a NUL.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Feed;
    ///
    /// #[controller(prefix = "feed")]
    /// impl Feed {
    ///     #[sse]
    ///     async fn feed(&self, stream: SseStream) {
    ///         stream.close();
    ///     }
    ///
    ///     #[on_sse_connection]
    ///     async fn opened(&self, client: SseStream, #[req] request: &RequestContext) -> Result<(), HttpError> {
    ///         if request.last_event_id().is_none() {
    ///             client.send("welcome, newcomer").await?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # #[server(controllers = [Feed], sse(enabled = true))]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let app = helios::testing::TestApp::start(App).unwrap();
    /// # assert_eq!(app.sse("/feed").await.next().await.unwrap().data, "welcome, newcomer");
    /// # let mut back = app.sse("/feed").last_event_id("7").await;
    /// # assert_eq!(back.next().await.unwrap().event, "helios:end");
    /// # }
    /// ```
    #[must_use]
    pub fn last_event_id(&self) -> Option<String> {
        // Each open stream stores its id, so a client must not choose its size.
        let usable = |id: &str| !id.is_empty() && id.len() <= LONGEST_EVENT_ID && is_valid_id(id);
        let header = self.header(LAST_EVENT_ID).filter(|id| usable(id));
        if let Some(id) = header {
            return Some(id.to_owned());
        }
        self.query("lastEventId").filter(|id| usable(id))
    }

    /// Returns the address of the peer. That is a proxy's address, if a proxy is in front of the server and no layer
    /// has set the right one. It is `None` on a Unix socket and when the app runs without a socket. It is also `None`
    /// inside another server, which has its own way to provide the address (axum's `ConnectInfo`).
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct LocalOnly;
    ///
    /// impl Guard for LocalOnly {
    ///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
    ///         match request.remote_addr() {
    ///             Some(addr) if addr.ip().is_loopback() => Ok(()),
    ///             _ => Err(HttpError::forbidden("from this machine only")),
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.remote_addr
    }

    /// Returns the values set by guards and layers.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.parts.extensions
    }

    /// Returns the extensions, in which a guard can store values for the handler, such as the authenticated user.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// #[derive(Injectable)]
    /// struct AuthGuard;
    ///
    /// impl Guard for AuthGuard {
    ///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
    ///         let name = request.header("x-user").ok_or_else(|| HttpError::unauthorized("who?"))?;
    ///         let user = User(name.to_owned());
    ///         request.extensions_mut().insert(user);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// /// The handler reads the name after the guard.
    /// fn name(request: &RequestContext) -> &str {
    ///     request.extensions().get::<User>().map_or("nobody", |user| &user.0)
    /// }
    /// ```
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.0.parts.extensions
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(crate) fn parts_mut(&mut self) -> &mut Parts {
        &mut self.0.parts
    }

    pub(crate) fn path_params(&self) -> PathParams {
        self.0.path.clone()
    }
}

/// The decoded parameters of a path, in the order of their template.
#[derive(Clone, Debug)]
pub(crate) struct PathParams {
    route: Arc<Template>,
    values: Arc<[String]>,
}

impl PathParams {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.iter();
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.route.params().iter().map(String::as_str);
        names.zip(self.values.iter().map(String::as_str))
    }
}

/// Status, headers and cookies that a handler sets through `#[res]`. They are applied to its response of any kind:
/// JSON, a page, bytes, a redirect, another library's response, the head of a stream.
///
/// A header replaces the response's own header of that name. Cookies are added to the response's own. On a stream,
/// `Content-Type`, `Cache-Control` and the headers that streaming requires cannot be replaced.
///
/// **If an error follows, only the cookies are kept.** A status and headers describe the response that was not sent,
/// such as its type. But a session that is over stays over. This holds for a panic and for every `Err`: problem JSON, a
/// filter's response, the response of an `error_format`, or a response of the handler's own error type. Give an error
/// its own headers with [`HttpError::with_header`](crate::error::HttpError::with_header).
///
/// It is a handle, so clones set the same head. On SSE routes the head is sent with the first event, and later changes
/// have no effect.
///
/// ```
/// use helios::prelude::*;
/// use http::{HeaderValue, header};
///
/// #[derive(Injectable)]
/// struct Login;
///
/// #[controller(prefix = "login")]
/// impl Login {
///     #[post]
///     fn login(&self, #[res] response: &mut ResponseHead) -> &str {
///         response
///             .set_status(StatusCode::ACCEPTED)
///             .set_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
///             .set_cookie(Cookie::new("session", 7))
///             .set_cookie(Cookie::new("theme", "dark").http_only(false));
///         "hello"
///     }
/// }
///
/// // a method is an ordinary function, so a unit test can call it
/// let mut head = ResponseHead::default();
/// assert_eq!(Login.login(&mut head), "hello");
/// assert_eq!(head.status(), Some(StatusCode::ACCEPTED));
/// assert_eq!(head.header(&header::SET_COOKIE).unwrap(), "session=7; Path=/; SameSite=Lax; HttpOnly");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResponseHead(Arc<Mutex<Head>>);

#[derive(Debug, Default)]
struct Head {
    status: Option<StatusCode>,
    headers: HeaderMap,
    /// Whether the head has been applied to a response.
    is_applied: bool,
}

impl ResponseHead {
    /// Sets the status of a successful response. SSE routes ignore it and send 200.
    pub fn set_status(&mut self, status: StatusCode) -> &mut Self {
        self.lock().status = Some(status);
        self
    }

    /// Returns the status set so far.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.lock().status
    }

    /// Replaces a header.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) -> &mut Self {
        self.lock().headers.insert(name, value);
        self
    }

    /// Adds a header without replacing others of the same name.
    pub fn append_header(&mut self, name: HeaderName, value: HeaderValue) -> &mut Self {
        self.lock().headers.append(name, value);
        self
    }

    /// Sets a cookie, which is sent with an error too. In the client, a later cookie of the same name and path replaces
    /// it.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Session;
    ///
    /// #[controller(prefix = "session")]
    /// impl Session {
    ///     #[delete]
    ///     fn sign_out(&self, #[res] res: &mut ResponseHead) -> Result<(), HttpError> {
    ///         res.set_cookie(Cookie::removal("session"));
    ///         Err(HttpError::service_unavailable("the other devices stay signed in"))
    ///     }
    /// }
    /// # #[server(controllers = [Session])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    ///
    /// let app = TestApp::start(App).unwrap();
    /// let failed = app.delete("/session").await;
    /// assert_eq!(failed.status(), 503);
    /// assert!(failed.header("set-cookie").starts_with("session=; Path=/; Max-Age=0"));
    /// # }
    /// ```
    pub fn set_cookie(&mut self, cookie: Cookie) -> &mut Self {
        self.append_header(SET_COOKIE, cookie.into())
    }

    /// Returns the first value set for a header so far.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.lock().headers.get(name).cloned()
    }

    /// Returns a separate copy of the head. Changes of the copy are not sent.
    #[doc(hidden)]
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let head = self.lock();
        Self(Arc::new(Mutex::new(Head {
            status: head.status,
            headers: head.headers.clone(),
            is_applied: false,
        })))
    }

    /// Applies the head to a response. Cookies are added to the response's own.
    #[doc(hidden)]
    pub fn apply_to<B>(&self, response: &mut Response<B>) {
        let mut head = self.lock();
        head.is_applied = true;
        if let Some(own) = head.status {
            *response.status_mut() = own;
        }
        let headers = response.headers_mut();
        for name in head.headers.keys() {
            if name != SET_COOKIE {
                headers.remove(name);
            }
            head.add(name, headers);
        }
    }

    /// Adds the cookies to an error's head.
    #[doc(hidden)]
    pub fn apply_to_error(&self, headers: &mut HeaderMap) {
        let mut head = self.lock();
        head.is_applied = true;
        head.add(&SET_COOKIE, headers);
    }

    /// Returns whether the head has been applied to a response.
    #[doc(hidden)]
    #[must_use]
    pub fn is_applied(&self) -> bool {
        self.lock().is_applied
    }

    fn lock(&self) -> MutexGuard<'_, Head> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    /// Adds all values of a header.
    fn add(&self, name: &HeaderName, headers: &mut HeaderMap) {
        for value in self.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{LINK, VARY};

    use super::*;

    #[test]
    fn set_headers_replace_the_response_s_own_and_may_repeat() {
        let mut head = ResponseHead::default();
        let value = HeaderValue::from_static;
        head.append_header(LINK, value("a"))
            .append_header(LINK, value("b"));
        let mut response = Response::new(());
        response.headers_mut().insert(VARY, value("origin"));
        response.headers_mut().insert(LINK, value("old"));
        head.apply_to(&mut response);
        let links: Vec<_> = response.headers().get_all(LINK).iter().collect();
        assert_eq!(links, ["a", "b"]);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().len(), 3);
    }

    #[test]
    fn a_set_cookie_keeps_the_response_s_own_cookies() {
        let mut head = ResponseHead::default();
        head.set_cookie(Cookie::new("a", 1));
        let mut response = Response::new(());
        let own = HeaderValue::from_static("own=1");
        response.headers_mut().insert(SET_COOKIE, own);
        head.apply_to(&mut response);
        let cookies: Vec<_> = text::values(response.headers(), SET_COOKIE).collect();
        assert_eq!(cookies, ["own=1", "a=1; Path=/; SameSite=Lax; HttpOnly"]);
    }
}
