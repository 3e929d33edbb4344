//! [`Cookie`], which a response asks the client to store. `RequestContext` reads it.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// ASCII that no value may contain (RFC 6265, section 4.1.1), and the sign of an escape.
const NOT_IN_VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\');

/// ASCII that no path may contain, or that a browser escapes in the path that it compares.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// ASCII that no token may contain, and a name is a token (RFC 9110, section 5.6.2).
const NOT_IN_NAME: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// The longest age that browsers accept (RFC 6265bis, section 5.5).
const LONGEST_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A cookie that a response sets. Pass it to [`ResponseHead::set_cookie`](crate::request::ResponseHead::set_cookie),
/// and read its value back with `#[cookie]`.
///
/// By default, scripts cannot read the cookie (`HttpOnly`) and pages of other sites send it only when they link here
/// (`SameSite=Lax`). It is sent with every path of the host (`Path=/`), and the browser forgets it when it is closed.
/// It is not `Secure`, because a server on your own machine has no TLS. Set that in production.
///
/// No name, value or path can break out of the header. Characters that it cannot contain are percent-encoded, and
/// `#[cookie]` decodes them. Browsers drop a cookie whose name and value have more than 4,096 bytes, or whose name is
/// empty.
///
/// ```
/// use helios::http::SameSite;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Account;
///
/// #[controller(prefix = "session")]
/// impl Account {
///     #[post]
///     fn sign_in(&self, #[res] res: &mut ResponseHead) -> &str {
///         res.set_cookie(Cookie::new("session", 17).secure(true).max_age(Duration::from_secs(3600)));
///         "welcome"
///     }
///
///     #[get]
///     fn name(&self, #[cookie] session: Option<u32>) -> String {
///         format!("session {session:?}")
///     }
///
///     #[delete]
///     fn sign_out(&self, #[res] res: &mut ResponseHead) -> StatusCode {
///         res.set_cookie(Cookie::removal("session"));
///         StatusCode::NO_CONTENT
///     }
/// }
/// # #[server(controllers = [Account])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use helios::testing::TestApp;
/// let app = TestApp::start(App).unwrap().with_cookies();
/// let welcome = app.post("/session").await;
/// assert_eq!(
///     welcome.header("set-cookie"),
///     "session=17; Path=/; Max-Age=3600; SameSite=Lax; HttpOnly; Secure"
/// );
/// assert_eq!(app.get("/session").await.text(), "session Some(17)");
/// app.delete("/session").await;
/// assert_eq!(app.get("/session").await.text(), "session None");
/// # let strict = Cookie::new("a", "b").same_site(SameSite::Strict);
/// # assert!(strict.to_string().contains("SameSite=Strict"));
/// # }
/// ```
///
/// Its text is the value of a `Set-Cookie` header, and it converts to a [`HeaderValue`]. Use that where there is no
/// `ResponseHead`, as in an interceptor's response or the error of a guard.
///
/// ```
/// use helios::prelude::*;
/// use http::header::SET_COOKIE;
///
/// let error = HttpError::unauthorized("the session is over");
/// let error = error.with_header(SET_COOKIE, Cookie::removal("session").into());
/// # assert!(error.headers().contains_key(SET_COOKIE));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    max_age: Option<Duration>,
    same_site: SameSite,
    is_http_only: bool,
    is_secure: bool,
}

/// The requests from pages of other sites with which a browser sends a cookie ([RFC 6265bis, section
/// 4.1.2.7](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis-20#section-4.1.2.7)).
///
/// ```
/// use helios::http::{Cookie, SameSite};
///
/// let cookie = Cookie::new("id", "7").same_site(SameSite::None);
/// assert_eq!(cookie.to_string(), "id=7; Path=/; SameSite=None; HttpOnly; Secure");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// With none of them.
    Strict,
    /// Only when a person follows a link.
    #[default]
    Lax,
    /// With all of them. Browsers require `Secure` for it, so the cookie then has it.
    None,
}

impl Cookie {
    /// Creates a cookie with the defaults of this type.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Display) -> Self {
        Self {
            name: name.into(),
            value: value.to_string(),
            path: "/".to_owned(),
            max_age: None,
            same_site: SameSite::default(),
            is_http_only: true,
            is_secure: false,
        }
    }

    /// Creates a cookie that removes the one of this name. Its path has to match the path of the other.
    ///
    /// ```
    /// use helios::Cookie;
    ///
    /// let removal = Cookie::removal("cart").path("/shop");
    /// assert_eq!(removal.to_string(), "cart=; Path=/shop; Max-Age=0; SameSite=Lax; HttpOnly");
    /// ```
    #[must_use]
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// Sends the cookie only with this path and those below it. Default: `/`. A slash is prepended if the path has
    /// none.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = format!("/{}", path.strip_prefix('/').unwrap_or(path));
        self
    }

    /// Keeps the cookie for this long, even when the browser is closed. The age is in whole seconds, rounded up, and at
    /// most 400 days, because no browser keeps a cookie longer. Zero removes the cookie.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age.min(LONGEST_AGE));
        self
    }

    /// Sets the requests from other sites' pages with which the cookie is sent. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sets whether the cookie is hidden from the page's scripts. Default: yes.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.is_http_only = http_only;
        self
    }

    /// Sets whether the cookie is sent over TLS only. Default: no, except for `SameSite=None` and for names that begin
    /// with `__Host-` or `__Secure-`, which browsers accept only with it.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.is_secure = secure;
        self
    }

    fn has_to_be_secure(&self) -> bool {
        let has_prefix = |prefix: &str| {
            let start = self.name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        self.same_site == SameSite::None || has_prefix("__Host-") || has_prefix("__Secure-")
    }
}

/// Returns the name as a header spells it.
pub(crate) fn written_name(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, NOT_IN_NAME).into()
}

impl Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = utf8_percent_encode(&self.value, NOT_IN_VALUE);
        let path = utf8_percent_encode(&self.path, NOT_IN_PATH);
        write!(f, "{}={value}; Path={path}", written_name(&self.name))?;
        if let Some(age) = self.max_age {
            let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
            write!(f, "; Max-Age={seconds}")?;
        }
        write!(f, "; SameSite={:?}", self.same_site)?;
        if self.is_http_only {
            f.write_str("; HttpOnly")?;
        }
        if self.is_secure || self.has_to_be_secure() {
            f.write_str("; Secure")?;
        }
        Ok(())
    }
}

/// Omits the value, which may be a secret.
impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl From<Cookie> for HeaderValue {
    fn from(cookie: Cookie) -> Self {
        // The fallback is never used, because the text consists of visible ASCII and blanks.
        Self::try_from(cookie.to_string()).unwrap_or(Self::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cookie_that_browsers_accept_only_as_secure_is_secure() {
        let is_secure = |cookie: Cookie| cookie.to_string().ends_with("; Secure");
        for name in ["__Host-id", "__secure-id", "__HOST-"] {
            assert!(is_secure(Cookie::new(name, "").secure(false)), "{name}");
        }
        assert!(is_secure(Cookie::new("id", "").same_site(SameSite::None)));
        for name in ["id", "__Host", "x__Host-", "", "日本語日本語"] {
            assert!(!is_secure(Cookie::new(name, "")), "{name}");
        }
    }

    #[test]
    fn an_age_is_rounded_up_to_keep_the_cookie() {
        let short = Cookie::new("a", "").max_age(Duration::from_millis(1));
        assert!(short.to_string().contains("; Max-Age=1;"), "{short}");
        let long = Cookie::new("a", "").max_age(Duration::MAX);
        assert!(long.to_string().contains("; Max-Age=34560000;"), "{long}");
    }

    #[test]
    fn the_value_is_not_in_the_debug_text() {
        let shown = format!("{:?}", Cookie::new("session", "hunter2"));
        assert!(
            shown.contains("session") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn nothing_breaks_out_of_its_place_in_the_header(name: String, value: String, path: String) {
            let cookie = Cookie::new(name.as_str(), &value).path(&path);
            let text = cookie.to_string();
            let header = HeaderValue::from(cookie);
            prop_assert_eq!(crate::text::of(&header), Some(text.as_str()));
            let parts: Vec<_> = text.split("; ").collect();
            prop_assert_eq!(parts.len(), if text.ends_with("; Secure") { 5 } else { 4 }, "{}", text);
            prop_assert!(parts[1].starts_with("Path=/") && parts[2] == "SameSite=Lax", "{}", text);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
            prop_assert!(parts.iter().all(|part| !part.contains([';', ' '])), "{}", text);
        }
    }
}
