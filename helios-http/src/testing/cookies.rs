//! A cookie store like that of a browser, as far as tests need it.

use std::sync::{Arc, Mutex};

use helios_core::text;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::sync::lock;

/// The cookies of one client. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Cookies(Arc<Mutex<Vec<Kept>>>);

/// A stored cookie. Its name and path identify it (RFC 6265, section 5.3).
struct Kept {
    name: String,
    path: String,
    value: String,
}

impl Cookies {
    /// Adds the cookies for the request's path, longer paths first, after those that the test has set itself.
    pub(super) fn send_with<B>(&self, request: &mut Request<B>) {
        let path = request.uri().path();
        let kept = lock(&self.0);
        let mut fitting: Vec<_> = kept
            .iter()
            .filter(|kept| is_below(path, &kept.path))
            .collect();
        fitting.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        let pairs = fitting
            .iter()
            .map(|kept| format!("{}={}", kept.name, kept.value));
        let pairs: Vec<_> = pairs.collect();
        // The parts came from a header, so this is a valid value.
        let header = HeaderValue::try_from(pairs.join("; ")).ok();
        if let Some(header) = header.filter(|header| !header.is_empty()) {
            request.headers_mut().append(COOKIE, header);
        }
    }

    /// Stores the cookies that a response sets, and drops those that it removes.
    pub(super) fn keep(&self, target: &Uri, headers: &HeaderMap) {
        for text in text::values(headers, SET_COOKIE) {
            let Some((cookie, is_removal)) = parse(text, target.path()) else {
                continue;
            };
            let mut kept = lock(&self.0);
            let place = kept
                .iter()
                .position(|old| (&old.name, &old.path) == (&cookie.name, &cookie.path));
            match (place, is_removal) {
                (Some(place), true) => drop(kept.remove(place)),
                // It keeps its place in the order, as a browser keeps its creation time.
                (Some(place), false) => kept[place] = cookie,
                (None, true) => {}
                (None, false) => kept.push(cookie),
            }
        }
    }
}

/// Parses a cookie of a `Set-Cookie` header, and whether it is to be removed (RFC 6265, section 5.2).
fn parse(text: &str, asked: &str) -> Option<(Kept, bool)> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let mut path = default_path(asked);
    let mut is_removal = false;
    for attribute in parts {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (key, value) = (key.trim_ascii(), value.trim_ascii());
        if key.eq_ignore_ascii_case("max-age") {
            is_removal = value == "0" || value.starts_with('-');
        } else if key.eq_ignore_ascii_case("path") && value.starts_with('/') {
            path = value;
        }
    }
    let kept = Kept {
        name: name.trim_ascii().to_owned(),
        path: path.to_owned(),
        value: value.trim_ascii().to_owned(),
    };
    Some((kept, is_removal))
}

/// Returns the folder of the requested path (RFC 6265, section 5.1.4).
fn default_path(asked: &str) -> &str {
    match asked.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &asked[..end],
    }
}

fn is_below(asked: &str, path: &str) -> bool {
    let rest = asked.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &Cookies, path: &str) -> String {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().unwrap();
        cookies.send_with(&mut request);
        let sent = text::values(request.headers(), COOKIE).next();
        sent.unwrap_or_default().to_owned()
    }

    fn set(cookies: &Cookies, at: &str, headers: &[&'static str]) {
        let values = headers.iter().map(|text| HeaderValue::from_static(text));
        let headers = values.map(|value| (SET_COOKIE, value)).collect();
        cookies.keep(&at.parse().unwrap(), &headers);
    }

    #[test]
    fn cookies_are_sent_by_path_the_longest_first() {
        let cookies = Cookies::default();
        set(
            &cookies,
            "/shop/cart",
            &["a=1; Path=/", "b=2", "c=3; path=/shop/cart/; Secure"],
        );
        set(&cookies, "/", &["d=4", "e=5; Path=x"]);
        assert_eq!(
            sent(&cookies, "/shop/cart/7?q=1"),
            "c=3; b=2; a=1; d=4; e=5"
        );
        assert_eq!(sent(&cookies, "/shop"), "b=2; a=1; d=4; e=5");
        assert_eq!(sent(&cookies, "/shopping"), "a=1; d=4; e=5");
    }

    #[test]
    fn a_cookie_is_replaced_or_removed_by_name_and_path() {
        let cookies = Cookies::default();
        set(&cookies, "/", &["a=1; Path=/", "a=2; Path=/x", "=", "none"]);
        set(&cookies, "/", &["a=; Path=/; Max-Age=0", "a=3; Path=/x"]);
        assert_eq!(sent(&cookies, "/x"), "a=3; =");
        set(
            &cookies,
            "/",
            &["a=; Path=/x; max-age=-1", "=; Max-Age=0", "b=; Max-Age=0"],
        );
        assert_eq!(sent(&cookies, "/x"), "");
    }
}
