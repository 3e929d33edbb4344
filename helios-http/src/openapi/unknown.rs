//! [`Unknown`], a gap in a document and how to fill it.

use std::fmt;

use helios_core::route::Verb;

/// A gap in the document, because no type says what a route does. Its text says what to write.
///
/// ```
/// use helios::axum_core::response::{IntoResponse, Response};
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Reports;
///
/// #[controller(prefix = "reports")]
/// impl Reports {
///     #[get]
///     fn latest(&self) -> Response { "all is well".into_response() }
/// }
///
/// #[server(controllers = [Reports])]
/// struct App;
///
/// let document = Helios::new(App).openapi_document()?;
/// let [unknown] = document.unknown() else { panic!("{:?}", document.unknown()) };
/// assert_eq!(unknown.handler, "Reports::latest");
/// assert!(unknown.to_string().starts_with("GET /reports: what it answers with"));
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unknown {
    /// The method.
    pub verb: Verb,
    /// The whole path template.
    pub path: String,
    /// Controller and method, such as `User::find`.
    pub handler: String,
    /// The missing information.
    pub what: String,
    /// How to declare it.
    pub declare: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            path,
            what,
            declare,
            ..
        } = self;
        write!(f, "{verb} {path}: {what}; {declare}")
    }
}

/// Lists what is not known, each with all routes of which that is so.
pub(crate) fn listed(unknown: &[Unknown]) -> String {
    let mut faults: Vec<((&str, &str), Vec<String>)> = Vec::new();
    for it in unknown {
        let fault = (&*it.what, &*it.declare);
        let route = format!("{} {}", it.verb, it.path);
        match faults.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, routes)) => routes.push(route),
            None => faults.push((fault, vec![route])),
        }
    }
    let lines = faults.into_iter().map(|((what, declare), routes)| {
        let routes = routes.join(", ");
        format!("  {what}; {declare}\n    {routes}\n")
    });
    lines.collect()
}
