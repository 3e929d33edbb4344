//! The static description of routes. The macros write it, and listings and start-up checks read it.

use std::fmt;

use http::Method;

use crate::path::{escapes_are_whole, has_dot_segment, normal_form};

/// The method that a route handles.
///
/// ```
/// use helios::http::Verb;
///
/// assert_eq!(Verb::of(&http::Method::PATCH), Some(Verb::Patch));
/// assert_eq!(Verb::of(&"PURGE".parse()?), None);
/// assert_eq!(Verb::Any.to_string(), "ANY");
/// # Ok::<(), http::method::InvalidMethod>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verb {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// Every method that has no route of its own on the same path.
    Any,
}

impl Verb {
    /// Returns the verb for a request's method. Extension methods have none, so only [`Verb::Any`] routes handle them.
    #[must_use]
    pub fn of(method: &Method) -> Option<Self> {
        Some(match *method {
            Method::GET => Self::Get,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::HEAD => Self::Head,
            Method::OPTIONS => Self::Options,
            _ => return None,
        })
    }

    /// Returns the method's name as in a request line, or `ANY` for [`Verb::Any`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Any => "ANY",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The kind of a route's response.
///
/// ```
/// use helios::http::RouteKind;
///
/// assert_eq!(RouteKind::Http.to_string(), "http");
/// assert_eq!(RouteKind::Sse.to_string(), "sse");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteKind {
    /// One response.
    Http,
    /// An event stream.
    Sse,
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Sse => "sse",
        })
    }
}

/// A parameter of the path template that a handler takes as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathParam {
    /// The name between the braces.
    pub name: &'static str,
    /// Whether it is in the prefix of an enclosing controller, as with `#[param(outer)]`.
    pub outer: bool,
}

/// One route of a controller, as annotated.
#[derive(Clone, Copy, Debug)]
pub struct RouteMeta {
    /// The method that the route handles.
    pub verb: Verb,
    /// The path below the controller's prefix.
    pub path: &'static str,
    /// The handler's name.
    pub handler: &'static str,
    /// The kind of the route's response.
    pub kind: RouteKind,
    /// The status of its successful responses, from `#[http_code]`.
    pub status: Option<u16>,
    /// The path parameters of the handler.
    pub params: &'static [PathParam],
}

/// A whole path with `{name}` and `{*rest}` parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    params: Vec<String>,
    /// The number of segments before its `{*rest}`, if it has one.
    before_rest: Option<usize>,
}

impl Template {
    /// Joins the prefixes of the enclosing controllers and a route's own path, outermost first. Slashes between the
    /// parts and at the end do not matter.
    ///
    /// ```
    /// use helios_core::route::Template;
    ///
    /// let template = Template::join(["api/", "/user", "{id}"]);
    /// assert_eq!(template.as_str(), "/api/user/{id}");
    /// assert_eq!(template.params(), ["id"]);
    /// assert_eq!(Template::join(["", "/"]).as_str(), "/");
    /// ```
    #[must_use]
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for part in parts {
            let part = part.trim_matches('/');
            if !part.is_empty() {
                text.push('/');
                text.push_str(part);
            }
        }
        if text.is_empty() {
            text.push('/');
        }
        let segments = text.split('/').skip(1);
        let params = segments.clone().filter_map(param_of_segment).collect();
        let mut before_rest = segments.enumerate();
        let before_rest = before_rest.find(|(_, segment)| segment.starts_with("{*"));
        let before_rest = before_rest.map(|(index, _)| index);
        Self {
            text,
            params,
            before_rest,
        }
    }

    /// Returns the template, which begins with a slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the names of the parameters, in order.
    #[must_use]
    pub fn params(&self) -> &[String] {
        &self.params
    }

    /// Returns the template in the normal form of paths, with numbered parameters. Templates with the same shape match
    /// the same paths.
    ///
    /// ```
    /// use helios_core::route::Template;
    ///
    /// let shape = |text| Template::join([text]).shape();
    /// assert_eq!(shape("café/{id}"), "/caf%C3%A9/{p1}");
    /// assert_eq!(shape("%7Eme/{*rest}"), shape("~me/{*path}"));
    /// ```
    #[must_use]
    pub fn shape(&self) -> String {
        let mut count = 0;
        let segments = self.text.split('/').map(|segment| {
            let Some((before, name, after)) = split_at_param(segment) else {
                return normal_form(segment).into_owned();
            };
            count += 1;
            let star = if name.starts_with('*') { "*" } else { "" };
            let (before, after) = (normal_form(before), normal_form(after));
            format!("{before}{{{star}p{count}}}{after}")
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Returns the text that `{*rest}` matches in a path: the whole rest, with a slash at the end if there is one.
    ///
    /// ```
    /// use helios_core::route::Template;
    ///
    /// let files = Template::join(["files/{*rest}"]);
    /// assert_eq!(files.rest_of("/files/a/b/"), Some("a/b/"));
    /// assert_eq!(files.rest_of("/files/"), Some(""));
    /// assert_eq!(Template::join(["files/{name}"]).rest_of("/files/a"), None);
    /// ```
    #[must_use]
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let before = self.before_rest?;
        path.splitn(before + 2, '/').nth(before + 1)
    }

    /// Returns the reason if no request can have such a path. The macros check what is written in attributes. This
    /// checks the path that is joined at start-up.
    ///
    /// ```
    /// use helios_core::route::Template;
    ///
    /// assert_eq!(Template::join(["files/{name}"]).mistake(), None);
    /// assert!(Template::join(["files/../{name}"]).mistake().is_some());
    /// ```
    #[must_use]
    pub fn mistake(&self) -> Option<&'static str> {
        let shape = self.shape();
        let is_open = |segment: &str| match split_at_param(segment) {
            Some((before, _, after)) => before.contains(BRACES) || after.contains(BRACES),
            None => segment.contains(BRACES),
        };
        if has_dot_segment(&shape) {
            return Some(
                "a path with a segment `.` or `..` is answered 400: leave the segment out",
            );
        }
        if !escapes_are_whole(&self.text) {
            return Some("`%` begins an escape, as in `%20`: write `%25` for the sign itself");
        }
        if self.text.contains(['?', '#']) {
            return Some("a path ends before `?` and `#`: leave them out");
        }
        if self.text.split('/').any(is_open) {
            return Some("a parameter is `{name}`: write `%7B` and `%7D` for braces themselves");
        }
        None
    }
}

const BRACES: [char; 2] = ['{', '}'];

fn param_of_segment(segment: &str) -> Option<String> {
    let (_, name, _) = split_at_param(segment)?;
    Some(name.trim_start_matches('*').to_owned())
}

/// Returns the text before a segment's parameter, in its braces, and after it.
fn split_at_param(segment: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = segment.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_request_can_have_is_a_mistake() {
        let mistakes = [
            ("a/..", "`..`"),
            ("%2E/a", "`..`"),
            ("100%", "%25"),
            ("a?b", "`?`"),
            ("{id", "{name}"),
            ("a}b", "{name}"),
            ("{a}{b}", "{name}"),
        ];
        for (text, mistake) in mistakes {
            let found = Template::join([text]).mistake().unwrap_or_default();
            assert!(found.contains(mistake), "{text}: {found}");
        }
        for text in ["", "naïve/{größe}", "a b/{*rest}", "img-{n}.png", "..a/%2F"] {
            assert_eq!(Template::join([text]).mistake(), None, "{text}");
        }
    }

    #[test]
    fn the_rest_begins_behind_the_segments_before_it() {
        let rest = |template, path| Template::join([template]).rest_of(path).map(str::to_owned);
        assert_eq!(rest("{*rest}", "/").as_deref(), Some(""));
        assert_eq!(rest("{*rest}", "//").as_deref(), Some("/"));
        assert_eq!(rest("a/{b}/{*rest}", "/a/x/y/z/").as_deref(), Some("y/z/"));
        assert_eq!(rest("a/{b}/{*rest}", "/a/x//").as_deref(), Some("/"));
    }
}
