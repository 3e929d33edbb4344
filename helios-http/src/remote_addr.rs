//! [`RemoteAddr`], the address of a client.

use std::net::SocketAddr;
use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use helios_core::error::HttpError;
use http::Extensions;
use http::request::Parts;

use crate::peer::Peer;

/// The address that a request came from. Behind a proxy, this is the proxy's address.
///
/// It is an argument of handlers: `RemoteAddr(addr): RemoteAddr`. Use an `Option` of it if there may be none, as on a
/// Unix socket, in a [`TestApp`](crate::testing::TestApp), or inside another server. A layer that knows the real
/// address can put its own `RemoteAddr` into the request's extensions. Then everybody sees that one, including
/// [`RequestContext::remote_addr`](helios_core::request::RequestContext::remote_addr).
///
/// ```
/// use std::net::{IpAddr, SocketAddr};
///
/// use helios::http::RemoteAddr;
/// use helios::prelude::*;
/// use tower::util::MapRequestLayer;
///
/// #[server(controllers = [])]
/// struct App;
///
/// // behind a proxy of yours that sets `x-real-ip`
/// let real_ip = MapRequestLayer::new(|mut request: http::Request<_>| {
///     let ip = request.headers().get("x-real-ip").and_then(|ip| ip.to_str().ok()?.parse().ok());
///     if let Some::<IpAddr>(ip) = ip {
///         request.extensions_mut().insert(RemoteAddr(SocketAddr::new(ip, 0)));
///     }
///     request
/// });
/// let app = Helios::new(App).layer(real_ip);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddr(pub SocketAddr);

impl RemoteAddr {
    /// Returns the address of the request with these extensions: the one that a layer put there, or that of the
    /// accepted connection.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        let peer = extensions.get::<Arc<Peer>>();
        Self::addr_of(extensions, peer.map(Arc::as_ref)).map(Self)
    }

    /// Like [`RemoteAddr::of`], for callers that have looked up the peer already.
    pub(crate) fn addr_of(extensions: &Extensions, peer: Option<&Peer>) -> Option<SocketAddr> {
        let told = extensions.get::<Self>().map(|Self(addr)| *addr);
        told.or_else(|| peer?.addr)
    }
}

impl<S: Sync> FromRequestParts<S> for RemoteAddr {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let none = || HttpError::internal("the request has no address: use `Option<RemoteAddr>`");
        Self::of(&parts.extensions).ok_or_else(none)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for RemoteAddr {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, HttpError> {
        Ok(Self::of(&parts.extensions))
    }
}
