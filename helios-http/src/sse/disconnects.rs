//! The users who were disconnected last. A request that opens a stream has passed its guards before that, and its stream
//! belongs to its user only once it is attached. So it asks what has happened since it began.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use crate::sync::lock;

/// How many are remembered.
const REMEMBERED: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Disconnects {
    hasher: RandomState,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    count: u64,
    /// The hashes of the users, newest last.
    users: VecDeque<u64>,
}

/// How many users had been disconnected when a request began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(u64);

impl Disconnects {
    pub(crate) fn now(&self) -> Since {
        Since(lock(&self.recent).count)
    }

    pub(crate) fn add(&self, user: &str) {
        let user = self.hasher.hash_one(user);
        let mut recent = lock(&self.recent);
        recent.count += 1;
        if recent.users.len() == REMEMBERED {
            recent.users.pop_front();
        }
        recent.users.push_back(user);
    }

    /// Whether the user was disconnected since then. After more than are remembered, that may be so.
    pub(crate) fn may_include(&self, user: &str, since: Since) -> bool {
        let recent = lock(&self.recent);
        let newer = usize::try_from(recent.count - since.0).unwrap_or(usize::MAX);
        if newer == 0 {
            return false;
        }
        let user = self.hasher.hash_one(user);
        newer > recent.users.len() || recent.users.iter().rev().take(newer).any(|it| *it == user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_included_from_then_on_and_after_too_many_everybody_is() {
        let all = Disconnects::default();
        let (before, none) = (all.now(), all.may_include("ann", all.now()));
        all.add("ann");
        let after = all.now();
        all.add("bob");
        assert!(!none);
        assert!(all.may_include("ann", before) && all.may_include("bob", before));
        assert!(!all.may_include("ann", after) && all.may_include("bob", after));
        for n in 0..REMEMBERED {
            assert!(!all.may_include("cy", after), "{n}");
            all.add(&n.to_string());
        }
        assert!(all.may_include("cy", after));
        assert!(!all.may_include("cy", all.now()));
    }
}
