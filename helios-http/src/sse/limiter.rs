//! Admission of streams. Counts them by client and checks whether there is room for one more.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helios_core::hub::{KeyedLimiter, TokenBucket};
use helios_core::request::RequestContext;

use crate::sse::address::client_address;
use crate::sse::options::ConnectionLimits;
use crate::sync::lock;

#[derive(Default)]
pub(crate) struct Limiter {
    admitted: Mutex<Admitted>,
}

#[derive(Default)]
struct Admitted {
    total: usize,
    addresses: KeyedLimiter<IpAddr>,
    users: KeyedLimiter<String>,
    /// Created full at the first connection.
    rate: Option<TokenBucket>,
}

/// The permission for one stream. Dropping it frees the place.
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    /// Boxed, because most apps do not count streams by client.
    owner: Option<Box<Owner>>,
}

/// The client of a stream, as far as it is limited.
struct Owner {
    address: Option<IpAddr>,
    user: Option<String>,
}

impl Limiter {
    /// Returns a permit for the stream that this request opens. `None` if that exceeds a limit.
    pub(crate) fn admit(
        self: &Arc<Self>,
        limits: &ConnectionLimits,
        request: &RequestContext,
        now: Duration,
    ) -> Option<Permit> {
        let address = limits.per_address.and_then(|limit| {
            let address = client_address(request, limits)?;
            Some((network(address), limit))
        });
        let user = limits.per_user.and_then(|limit| {
            let key = limits.user.as_ref()?;
            Some((key(request)?, limit))
        });
        let mut admitted = lock(&self.admitted);
        if admitted.total >= limits.total {
            return None;
        }
        if let Some((address, limit)) = &address
            && !admitted.addresses.acquire(address, *limit)
        {
            return None;
        }
        let fits = user
            .as_ref()
            .is_none_or(|(user, limit)| admitted.users.acquire(user, *limit));
        // Checked last, so that a client over a limit of its own uses nothing of the shared rate.
        let is_admitted = fits && admitted.fits_rate(limits.per_second, now);
        let owner = Owner {
            address: address.map(|(address, _)| address),
            user: user.filter(|_| fits).map(|(user, _)| user),
        };
        if !is_admitted {
            admitted.remove(&owner);
            return None;
        }
        admitted.total += 1;
        let is_counted = owner.address.is_some() || owner.user.is_some();
        Some(Permit {
            limiter: Arc::clone(self),
            owner: is_counted.then(|| Box::new(owner)),
        })
    }
}

impl Admitted {
    fn remove(&mut self, owner: &Owner) {
        if let Some(address) = &owner.address {
            self.addresses.release(address);
        }
        if let Some(user) = &owner.user {
            self.users.release(user);
        }
    }

    fn fits_rate(&mut self, per_second: Option<f64>, now: Duration) -> bool {
        let Some(per_second) = per_second else {
            return true;
        };
        let bucket = self
            .rate
            .get_or_insert_with(|| TokenBucket::full(per_second, now));
        bucket.take(per_second, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut admitted = lock(&self.limiter.admitted);
        admitted.total -= 1;
        if let Some(owner) = &self.owner {
            admitted.remove(owner);
        }
    }
}

/// Returns the network that counts as one client. An IPv6 household can choose addresses from a whole /64 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_networks_and_mapped_ipv4_addresses_are_one_client_each() {
        let one = |text: &str| network(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:2"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:192.0.2.1"), one("192.0.2.1"));
        assert_ne!(one("192.0.2.1"), one("192.0.2.2"));
    }
}
