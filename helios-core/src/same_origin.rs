//! [`SameOrigin`], a guard against pages of other sites.

use http::Method;
use http::header::{HOST, UPGRADE};

use crate::container::{Injectable, Resolver};
use crate::error::HttpError;
use crate::guard::Guard;
use crate::request::RequestContext;
use crate::text;

/// A guard that refuses requests from pages of other sites with a 403.
///
/// A browser names the site in `Sec-Fetch-Site` ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)). Older
/// browsers send an `Origin`, which the guard compares with the host of the request, so a proxy has to pass on the
/// `Host`. A request with neither does not come from a page, and passes. GET, HEAD and OPTIONS pass too, because they
/// should change nothing. Another subdomain counts as another site.
///
/// A GET that requests an upgrade does not pass by its method. A browser lets any page open a WebSocket to any site,
/// with that site's cookies.
///
/// ```
/// use helios::http::SameOrigin;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Session;
///
/// #[controller(prefix = "session", guards = [SameOrigin])]
/// impl Session {
///     #[post("end")]
///     fn end(&self) -> &str { "good bye" }
/// }
/// # #[server(controllers = [Session])]
/// # struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let app = helios::testing::TestApp::start(App).unwrap();
///
/// let ended = |site| app.post("/session/end").header("sec-fetch-site", site);
/// assert_eq!(ended("same-origin").await.text(), "good bye");
/// assert_eq!(ended("cross-site").await.status(), 403);
/// assert_eq!(app.post("/session/end").await.status(), 200); // curl
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SameOrigin;

impl Injectable for SameOrigin {
    fn build(_: &mut Resolver<'_>) -> Option<Self> {
        Some(Self)
    }
}

// Keeps this type out of the compiler's suggestions for a type that lacks `Guard`.
#[diagnostic::do_not_recommend]
impl Guard for SameOrigin {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        match is_safe(request) || is_of_own_site(request) {
            true => Ok(()),
            false => Err(HttpError::forbidden("the request comes from another site")),
        }
    }
}

/// A page cannot set `Upgrade` itself, so only a request for a WebSocket has it.
fn is_safe(request: &RequestContext) -> bool {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    is_safe && !request.headers().contains_key(UPGRADE)
}

fn is_of_own_site(request: &RequestContext) -> bool {
    if let Some(site) = request.header("sec-fetch-site") {
        // `none` means that the user started the request, for example with a bookmark.
        return ["same-origin", "none"].contains(&site);
    }
    let Some(origin) = request.headers().get("origin") else {
        return true;
    };
    let origin = text::of(origin).and_then(|origin| origin.split_once("://"));
    match (origin, host(request)) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        // A page without an origin sends `null`.
        _ => false,
    }
}

/// The host of an absolute target counts before `Host` (RFC 9112, section 3.2.2). HTTP/2 has only the former.
fn host(request: &RequestContext) -> Option<&str> {
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    target.or_else(|| text::values(request.headers(), HOST).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let request = http::Request::builder().method(method).uri(uri);
        let add = |request: http::request::Builder, header: &(&str, &str)| {
            request.header(header.0, header.1)
        };
        let request = headers.iter().fold(request, add).body(()).unwrap();
        let mut request = RequestContext::unrouted(request.into_parts().0, None);
        let mut check = std::pin::pin!(SameOrigin.check(&mut request));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        matches!(check.as_mut().poll(&mut cx), std::task::Poll::Ready(Ok(())))
    }

    #[test]
    fn the_fetch_site_header_counts_before_the_origin() {
        let own = ("origin", "https://a.example");
        let host = ("host", "a.example");
        for (site, expected) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
        ] {
            let seen = passes("POST", "/", &[("sec-fetch-site", site), own, host]);
            assert_eq!(seen, expected, "{site}");
            assert!(passes("GET", "/", &[("sec-fetch-site", site), own, host]));
        }
    }

    #[test]
    fn a_page_of_another_site_opens_no_websocket() {
        let (host, upgrade) = (("host", "a.example"), ("upgrade", "websocket"));
        for (told, expected) in [
            (("origin", "https://a.example"), true),
            (("origin", "https://evil.example"), false),
            (("origin", "null"), false),
            (("sec-fetch-site", "cross-site"), false),
            (("user-agent", "a program"), true),
        ] {
            assert_eq!(
                passes("GET", "/", &[told, host, upgrade]),
                expected,
                "{told:?}"
            );
            assert!(passes("GET", "/", &[told, host]));
        }
    }

    #[test]
    fn an_origin_is_that_of_the_host_with_its_port() {
        let host = ("host", "A.example:8443");
        for (origin, expected) in [
            ("https://a.example:8443", true),
            ("https://a.example", false),
            ("https://b.example:8443", false),
            ("https://a.example:8443.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(
                passes("DELETE", "/", &[("origin", origin), host]),
                expected,
                "{origin}"
            );
        }
        let target = "https://a.example/x";
        assert!(passes("POST", target, &[("origin", "https://a.example")]));
        assert!(!passes(
            "POST",
            target,
            &[("origin", "https://evil.example"), ("host", "evil.example")]
        ));
        assert!(!passes("POST", "/", &[("origin", "https://a.example")]));
        assert!(passes("POST", "/", &[]));
    }
}
