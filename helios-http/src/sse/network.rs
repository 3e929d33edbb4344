//! Networks of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A network, such as `10.0.0.0/8` or `fd00::/8`. An address without a prefix length is a network of one address.
///
/// ```
/// use helios::sse::Network;
///
/// let network: Network = "10.1.0.0/16".parse()?;
/// assert!(network.contains([10, 1, 2, 3].into()));
/// assert!(!network.contains([10, 2, 0, 0].into()));
/// assert_eq!("127.0.0.1".parse::<Network>()?.to_string(), "127.0.0.1/32");
/// # Ok::<(), helios::sse::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address lies in the network. An IPv4 address never lies in an IPv6 network, nor the other way round.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse().map(Self);
        network.or_else(|_| {
            text.parse::<IpAddr>()
                .map(Self::from)
                .map_err(|_| NetworkError)
        })
    }
}

/// The error for a text that is not a [`Network`].
///
/// ```
/// use helios::sse::{Network, NetworkError};
///
/// let error: NetworkError = "10.0.0.0/33".parse::<Network>().unwrap_err();
/// assert_eq!(error.to_string(), "a network is written as 10.0.0.0/8 or fd00::/8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is written as 10.0.0.0/8 or fd00::/8")]
#[non_exhaustive]
pub struct NetworkError;
