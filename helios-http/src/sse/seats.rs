//! Admission: how many connections there are, of whom, and whether there is room for one more.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use helios_core::hub::{KeyedLimiter, TokenBucket};
use helios_core::request::RequestContext;
use http::StatusCode;

use super::address::client_address;
use super::control;
use super::hub::{Hub, lock};
use super::options::{ConnectionLimits, Overload};

#[derive(Default)]
pub(super) struct Seats {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    addresses: KeyedLimiter<IpAddr>,
    users: KeyedLimiter<String>,
    /// Made at the first connection, full.
    rate: Option<TokenBucket>,
}

/// A connection's place, given up when it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    address: Option<IpAddr>,
    user: Option<String>,
}

impl Seats {
    /// A place for the connection that this request asks for; `None` if that is over a limit.
    pub(super) fn take(
        self: &Arc<Self>,
        limits: &ConnectionLimits,
        request: &RequestContext,
        now: Duration,
    ) -> Option<Seat> {
        let address = limits.per_address.and_then(|limit| {
            let address = client_address(request, limits)?;
            Some((network(address), limit))
        });
        let user = limits.per_user.and_then(|limit| {
            let key = limits.user.as_ref()?;
            Some((key(request)?, limit))
        });
        let mut taken = lock(&self.taken);
        if taken.total >= limits.total {
            return None;
        }
        if let Some((address, limit)) = &address
            && !taken.addresses.acquire(address, *limit)
        {
            return None;
        }
        let fits = user
            .as_ref()
            .is_none_or(|(user, limit)| taken.users.acquire(user, *limit));
        // Last: who is over a limit of its own takes nothing of what all share.
        if !fits || !taken.fits_rate(limits.per_second, now) {
            if let Some((address, _)) = &address {
                taken.addresses.release(address);
            }
            if let Some((user, _)) = user.as_ref().filter(|_| fits) {
                taken.users.release(user);
            }
            return None;
        }
        taken.total += 1;
        Some(Seat {
            seats: Arc::clone(self),
            address: address.map(|(address, _)| address),
            user: user.map(|(user, _)| user),
        })
    }
}

impl Taken {
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

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.seats.taken);
        taken.total -= 1;
        if let Some(address) = &self.address {
            taken.addresses.release(address);
        }
        if let Some(user) = &self.user {
            taken.users.release(user);
        }
    }
}

/// What who is one too many is answered.
pub(crate) enum Overloaded {
    /// A stream with nothing but a word to come back.
    Events(Bytes),
    /// A status, and the seconds to wait.
    Status(StatusCode, u64),
}

impl Hub {
    /// A place for the connection that this request asks for; `None` if that is over a limit.
    pub(crate) fn seat(&self, request: &RequestContext) -> Option<Seat> {
        let limits = &self.options().connections;
        self.seats.take(limits, request, self.now())
    }

    /// The answer to this request if there is no seat for it.
    pub(crate) fn overload(&self, request: &RequestContext) -> Overloaded {
        let options = self.options();
        match options.connections.answer {
            Overload::Event => {
                Overloaded::Events(control::overloaded(options, request.last_event_id()))
            }
            Overload::Status(status) => {
                let retry = control::jittered(options.connections.retry);
                Overloaded::Status(status, retry.as_secs_f64().ceil() as u64)
            }
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
