//! The static description of routes: what the macros write down, what listings and start-up checks read.

use std::fmt;

use http::Method;

/// The method that a route answers to.
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
    /// The verb of a request's method; extension methods have none and are answered by [`Verb::Any`] routes only.
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

    /// The method's name as it stands in a request line; `ANY` for [`Verb::Any`].
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

/// The kind of a route's answer.
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

/// A parameter of the path template that a handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathParam {
    /// Its name between the braces.
    pub name: &'static str,
    /// It stands in the prefix of an enclosing controller: `#[param(outer)]`.
    pub outer: bool,
}

/// One route of a controller, as annotated.
#[derive(Clone, Copy, Debug)]
pub struct RouteMeta {
    /// The method it answers to.
    pub verb: Verb,
    /// The path below the controller's prefix.
    pub path: &'static str,
    /// The handler's name.
    pub handler: &'static str,
    /// The kind of its answer.
    pub kind: RouteKind,
    /// The status of its successful responses, from `#[http_code]`.
    pub status: Option<u16>,
    /// The path parameters that it takes.
    pub params: &'static [PathParam],
}

/// A whole path with `{name}` and `{*rest}` parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    params: Vec<String>,
}

impl Template {
    /// Joins the prefixes of the enclosing controllers and a route's own path, outermost first. Slashes at the seams
    /// and at the end do not matter.
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
        let params = text.split('/').filter_map(param_of_segment).collect();
        Self { text, params }
    }

    /// The template, beginning with a slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters, in order.
    #[must_use]
    pub fn params(&self) -> &[String] {
        &self.params
    }
}

fn param_of_segment(segment: &str) -> Option<String> {
    let inner = segment.split_once('{')?.1.split_once('}')?.0;
    Some(inner.trim_start_matches('*').to_owned())
}
