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
    match header {
        ProxyHeader::XForwardedFor => {
            let hops = text::elements(headers, "x-forwarded-for", b',');
            hops.map(|hop| hop.and_then(address)).collect()
        }
        ProxyHeader::Forwarded => {
            let hops = text::quotable_elements(headers, "forwarded", ',');
            hops.map(|hop| hop.and_then(forwarded_for)).collect()
        }
    }
}

/// Parses the `for` of one element of `Forwarded` (RFC 7239, section 4). A client may have chosen the other values of
/// the element, such as its `host`. So an element that is malformed anywhere has no address, nor has one with a second
/// `for`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut client = None;
    for pair in element.split(text::unquoted(';')) {
        if pair.trim_ascii().is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        let value = unquote(value.trim_ascii())?;
        if name.trim_ascii().eq_ignore_ascii_case("for") && client.replace(value).is_some() {
            return None;
        }
    }
    address(&client?)
}

/// Returns the text of a token or of a quoted string, or `None` if it is neither.
fn unquote(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let (mut text, mut letters) = (String::new(), quoted.chars());
    loop {
        match letters.next()? {
            '"' => return letters.as_str().is_empty().then_some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
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
    use proptest::prelude::*;

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
    fn a_quoted_separator_of_forwarded_separates_nothing() {
        for quoted in [
            r#"host="x;for=9.9.9.9";for=192.0.2.1"#,
            r#"host="x, for=9.9.9.9";for="192.0.2.1""#,
            r#"host="\";for=9.9.9.9, for=9.9.9.9";for="192\.0.2.1:80";;"#,
            r#"for="192.0.2.1"; host = "a\\\€""#,
        ] {
            assert_eq!(
                hops_of("forwarded", &[quoted]),
                some(&["192.0.2.1"]),
                "{quoted}"
            );
        }
    }

    #[test]
    fn an_element_of_forwarded_that_does_not_parse_is_an_unreadable_hop() {
        for element in [
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;For=192.0.2.1",
            "for=192.0.2.1;host",
            r#"for=192.0.2.1;host="x"#,
            r#"for=192.0.2.1;host="x\""#,
            r#"for=192.0.2.1;host="x"y"#,
            r#"for=192.0.2.1;host=x"y"#,
            r#"for="192.0.2.1"#,
            r#"for=""192.0.2.1"""#,
            "",
        ] {
            assert_eq!(hops_of("forwarded", &[element]), [None], "{element}");
        }
        assert_eq!(
            hops_of("forwarded", &[r#"for="x"#, "for=192.0.2.1"]),
            [None, Some("192.0.2.1".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in r#"(for=|192\.0\.2\.1|host=|[\\";,= xä])*"#) {
            hops_of("forwarded", &[&value]);
            hops_of("x-forwarded-for", &[&value]);
        }

        #[test]
        fn a_quoted_text_changes_no_address(text in "[ -~ä€]{0,20}") {
            let quoted = text.replace('\\', r"\\").replace('"', r#"\""#);
            let value = format!(r#"host="{quoted}";for=192.0.2.1"#);
            prop_assert_eq!(hops_of("forwarded", &[value]), some(&["192.0.2.1"]));
        }
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
