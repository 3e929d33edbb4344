//! Admission: how many streams are open, whose they are, and whether there is room for one more.

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
    /// Made at the first connection, full.
    rate: Option<TokenBucket>,
}

/// The permission for one stream, given back when it is dropped.
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    /// Boxed, as most apps do not ask whose their streams are.
    owner: Option<Box<Owner>>,
}

/// Whose stream it is, as far as that is limited.
struct Owner {
    address: Option<IpAddr>,
    user: Option<String>,
}

impl Limiter {
    /// A permit for the stream that this request asks for; `None` if that is over a limit.
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
        // Last: a client over a limit of its own takes nothing of what all share.
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

/// What is counted as one client: one household of IPv6 has a /64 network to choose addresses from.
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
    fn an_ipv6_network_and_a_mapped_ipv4_address_are_one_client_each() {
        let one = |text: &str| network(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:2"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:192.0.2.1"), one("192.0.2.1"));
        assert_ne!(one("192.0.2.1"), one("192.0.2.2"));
    }
}
