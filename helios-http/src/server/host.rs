//! The authority that a request is meant for. Every HTTP/1.1 request names it in `Host` (RFC 9112, section 3.2), and
//! HTTP/2 sends it as `:authority`.

use std::future::ready;
use std::net::Ipv6Addr;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use helios_core::error::HttpError;
use helios_core::text;
use http::header::HOST;
use http::uri::Authority;
use http::{Request, Version};

use crate::future::BoxFuture;
use crate::routing::service::Stack;
use crate::sse::answer::Answer;

/// Characters allowed in a name besides letters and digits (RFC 3986, section 3.2.2).
const IN_NAMES: &[u8] = b"-._~%!$&'()*+,;=";

/// Answers a request. Layers see it only if it has exactly one valid host, because other servers on its way may have
/// read an invalid one differently.
pub(crate) fn answer(stack: Stack, request: Request<Body>) -> BoxFuture<'static, Answer> {
    match mistake(&request) {
        None => stack.answer(request),
        Some(mistake) => {
            let refused = HttpError::bad_request(mistake).into_response();
            Box::pin(ready(refused.into()))
        }
    }
}

fn mistake<B>(request: &Request<B>) -> Option<&'static str> {
    let version = request.version();
    // A target of HTTP/1 may have an authority, too, which overrides the header (RFC 9112, section 3.2.2).
    let authority = request.uri().authority().map(Authority::as_str);
    let authority = authority.filter(|_| version == Version::HTTP_2);
    if authority.is_some_and(|authority| !is_authority(authority)) {
        return Some("the `:authority` is not a host and a port");
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // HTTP/1.0 does not require the header, and HTTP/2 has `:authority`.
        (None, _) => (version == Version::HTTP_11).then_some("the request has no `Host` header"),
        (Some(_), Some(_)) => Some("the request has two `Host` headers"),
        (Some(host), None) => match text::of(host).filter(|host| is_authority(host)) {
            None => Some("the `Host` header is not a host and a port"),
            // Two servers on its way could take it for requests to different hosts (RFC 9113, section 8.3.1).
            Some(host) => authority
                .is_some_and(|authority| !authority.eq_ignore_ascii_case(host))
                .then_some("the `Host` header differs from the `:authority`"),
        },
    }
}

/// An empty text is valid, because the target may have no authority.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let (name, port) = text.split_at(
                text.bytes()
                    .position(|byte| byte == b':')
                    .unwrap_or(text.len()),
            );
            (name.bytes().all(is_in_names), port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || IN_NAMES.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_with_an_optional_port() {
        for valid in [
            "",
            "a",
            "a_b.example",
            "a.example:80",
            "a:",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "xn--bcher-kva.de",
            "%C3%A9",
        ] {
            assert!(is_authority(valid), "{valid}");
        }
        for invalid in [
            "a b",
            "user@a",
            "a/b",
            "a:b",
            "a:1:2",
            "[::1",
            "[a]",
            "[::1]80",
            "::1",
            "bücher.de",
            "a,b?",
            "a#",
            "http://a",
        ] {
            assert!(!is_authority(invalid), "{invalid}");
        }
    }
}
