//! Finds a client's address behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use helios_core::request::RequestContext;
use helios_core::text;
use http::HeaderMap;

use crate::sse::options::{ConnectionLimits, ProxyHeader};

/// Returns the address of the client. This is the peer's own, or if that is a trusted proxy, the last address before it
/// that is not.
pub(crate) fn client_address(
    request: &RequestContext,
    limits: &ConnectionLimits,
) -> Option<IpAddr> {
    let peer = request.remote_addr()?.ip();
    let trusted = |address: IpAddr| {
        let address = address.to_canonical();
        limits
            .trusted_proxies
            .iter()
            .any(|network| network.contains(address))
    };
    let hops = hops(request.headers(), limits.proxy_header);
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        if !trusted(client) {
            break;
        }
        // An unreadable entry might be forged, so the proxy that wrote it is the last known address.
        let Some(address) = hop else { break };
        client = address;
    }
    Some(client.to_canonical())
}

/// Returns the addresses that the header names, the client's first.
fn hops(headers: &HeaderMap, header: ProxyHeader) -> Vec<Option<IpAddr>> {
    let name = match header {
        ProxyHeader::XForwardedFor => "x-forwarded-for",
        ProxyHeader::Forwarded => "forwarded",
    };
    let read = match header {
        ProxyHeader::XForwardedFor => address,
        ProxyHeader::Forwarded => forwarded_for,
    };
    let hops = text::elements(headers, name, b',');
    hops.map(|hop| hop.and_then(read)).collect()
}

/// Parses the `for` of one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim_ascii().eq_ignore_ascii_case("for"))?;
    address(value.trim_ascii().trim_matches('"'))
}

/// Parses an address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Some(with_port.ip());
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops_of(name: &'static str, values: &[impl AsRef<[u8]>]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = http::HeaderValue::from_bytes(value.as_ref()).unwrap();
            headers.append(name, value);
        }
        let header = match name {
            "forwarded" => ProxyHeader::Forwarded,
            _ => ProxyHeader::XForwardedFor,
        };
        let hops = hops(&headers, header).into_iter();
        hops.map(|hop| hop.map(|address| address.to_string()))
            .collect()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn hops_of_repeated_headers_are_read_in_order() {
        assert_eq!(
            hops_of("x-forwarded-for", &["192.0.2.1, 2001:db8::1", "[::1]:80"]),
            some(&["192.0.2.1", "2001:db8::1", "::1"])
        );
        assert_eq!(
            hops_of(
                "forwarded",
                &[
                    "for=192.0.2.1;proto=https, FOR=\"[2001:db8::1]:4711\"",
                    "by=x; for=192.0.2.2:80"
                ]
            ),
            some(&["192.0.2.1", "2001:db8::1", "192.0.2.2"])
        );
    }

    #[test]
    fn an_invalid_address_is_an_unreadable_hop() {
        assert_eq!(hops_of("x-forwarded-for", &["unknown"]), [None]);
        assert_eq!(
            hops_of("forwarded", &["for=_hidden", "proto=http"]),
            [None, None]
        );
    }

    #[test]
    fn a_hop_that_is_not_text_hides_no_other() {
        assert_eq!(
            hops_of("x-forwarded-for", &[b"\xff, 192.0.2.1"]),
            [None, Some("192.0.2.1".to_owned())]
        );
        assert_eq!(
            hops_of("forwarded", &[&b"for=\xff;by=x"[..], b"for=192.0.2.2"]),
            [None, Some("192.0.2.2".to_owned())]
        );
    }
}
