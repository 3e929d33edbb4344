//! Mounts: services that are not routes, their guards, and the check that requests can reach them.

use helios_core::container::Resolver;
use helios_core::path::normal_form;
use helios_core::route::Template;

use crate::error::StartupFault;
use crate::routing::endpoint::{Endpoint, Pipeline};
use crate::routing::mount::{BoxedService, Mount, form_of_prefix, read_otherwise};
use crate::routing::router::place;
use crate::table::Guards;

/// A mounted service as the app received it.
pub(crate) struct MountEntry {
    pub(crate) prefix: String,
    pub(crate) service: BoxedService,
    pub(crate) guards: Guards,
    /// Whether the server's guards run before its own.
    pub(crate) behind_server: bool,
}

impl MountEntry {
    /// Resolves the guards from the container and returns the mount.
    pub(crate) fn open(self, server: &Pipeline, resolver: &mut Resolver<'_>) -> Mount {
        let mut around = server.clone();
        if !self.behind_server {
            around.guards.clear();
        }
        let prefix = form_of_prefix(&self.prefix);
        let who = format!("the mount at {}", shown(&prefix));
        let pipeline = around.with(&who, &self.guards.pipeline(), resolver);
        Mount::new(prefix, pipeline, self.service)
    }
}

/// Lists the mounts that no request can reach, by their prefixes as written.
pub(crate) fn unreachable(prefixes: &[String], endpoints: &[Endpoint]) -> Vec<StartupFault> {
    let forms: Vec<_> = prefixes.iter().map(|it| form_of_prefix(it)).collect();
    let fault = |(n, prefix): (usize, &String)| {
        let reason = mistake(prefix)
            .or_else(|| twice(&forms[..n], &forms[n]))
            .or_else(|| hidden(&forms[n], endpoints))?;
        let prefix = shown(prefix).to_owned();
        Some(StartupFault::UnreachableMount { prefix, reason })
    };
    prefixes.iter().enumerate().filter_map(fault).collect()
}

/// Returns a prefix for messages.
fn shown(prefix: &str) -> &str {
    if prefix.is_empty() { "/" } else { prefix }
}

fn mistake(prefix: &str) -> Option<String> {
    let template = Template::join([prefix]);
    let mistake = match (template.mistake(), template.params()) {
        (Some(mistake), _) => mistake,
        (None, [_, ..]) => {
            "a prefix has no parameters: mount it at fixed segments, or write `%7B` and `%7D` for braces"
        }
        (None, []) if read_otherwise(&normal_form(template.as_str())).is_some() => {
            "a doubled or an escaped slash makes a path ambiguous, which gets a 400: leave that slash out"
        }
        (None, []) => return None,
    };
    Some(mistake.to_owned())
}

fn twice(others: &[String], prefix: &String) -> Option<String> {
    let again = "another service is mounted there: give one of the two another prefix";
    others.contains(prefix).then(|| again.to_owned())
}

/// A route for every path below its own answers all methods there, with 405 for those it does not serve.
fn hidden(prefix: &str, endpoints: &[Endpoint]) -> Option<String> {
    let covers = |endpoint: &&Endpoint| {
        let shape = endpoint.template.shape();
        let (before, _) = shape.rsplit_once("/{*")?;
        covers(before, prefix).then_some(())
    };
    let endpoint = endpoints.iter().find(|it| covers(it).is_some())?;
    let (route, path) = (place(endpoint), endpoint.template.as_str());
    Some(format!(
        "{route} answers every path below {path}: give it a narrower path, or the service another prefix"
    ))
}

/// Whether every path below the prefix is below the shape, too.
fn covers(shape: &str, prefix: &str) -> bool {
    let mut segments = prefix.split('/');
    shape.split('/').all(|pattern| {
        let Some(segment) = segments.next() else {
            return false;
        };
        let param = pattern
            .split_once('{')
            .zip(pattern.split_once('}'))
            .map(|((before, _), (_, after))| (before, after));
        match param {
            None => pattern == segment,
            Some((before, after)) => {
                let inner = segment.strip_prefix(before);
                let inner = inner.and_then(|inner| inner.strip_suffix(after));
                inner.is_some_and(|inner| !inner.is_empty())
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_covers_what_is_below_it_segment_by_segment() {
        let covered = [
            ("", ""),
            ("", "/a"),
            ("/a", "/a"),
            ("/a", "/a/b"),
            ("/{p1}", "/a"),
            ("/v{p1}.0/b", "/v1.0/b/c"),
        ];
        for (shape, prefix) in covered {
            assert!(covers(shape, prefix), "{shape} {prefix}");
        }
        for (shape, prefix) in [("/a", ""), ("/a", "/ab"), ("/a/b", "/a"), ("/v{p1}", "/v")] {
            assert!(!covers(shape, prefix), "{shape} {prefix}");
        }
    }

    #[test]
    fn a_prefix_that_no_request_has_is_a_mistake() {
        for prefix in [
            "/a/../b",
            "a?b",
            "/50%",
            "/users/{id}",
            "{",
            "/a//b",
            "/a%2Fb",
            "a\\b",
        ] {
            assert!(mistake(prefix).is_some(), "{prefix}");
        }
        for prefix in ["", "/", "//", "/a/", "café", "/%7Eme/b"] {
            assert_eq!(mistake(prefix), None, "{prefix}");
        }
    }
}
