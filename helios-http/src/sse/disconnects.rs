//! The users who were disconnected last. A request that opens a stream has passed its guards before that, and its stream
//! belongs to its user only once it is attached. So it asks what has happened since it began.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use tokio::task;

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
    /// The newest last.
    all: VecDeque<Disconnect>,
}

#[derive(Debug)]
struct Disconnect {
    /// The hash of the user.
    user: u64,
    /// The task that has disconnected the user.
    by: Option<task::Id>,
}

/// How many users had been disconnected when a request began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Since(u64);

impl Disconnects {
    pub(crate) fn now(&self) -> Since {
        Since(lock(&self.recent).count)
    }

    pub(crate) fn add(&self, user: &str) {
        let (user, by) = (self.hasher.hash_one(user), task::try_id());
        let mut recent = lock(&self.recent);
        recent.count += 1;
        if recent.all.len() == REMEMBERED {
            recent.all.pop_front();
        }
        recent.all.push_back(Disconnect { user, by });
    }

    /// Whether the user was disconnected since then, except by the calling task. A request may end the other streams of its
    /// user before it opens one. After more disconnects than are remembered, the answer is yes.
    pub(crate) fn may_include(&self, user: &str, since: Since) -> bool {
        let recent = lock(&self.recent);
        let newer = usize::try_from(recent.count - since.0).unwrap_or(usize::MAX);
        if newer == 0 {
            return false;
        }
        let (user, own) = (self.hasher.hash_one(user), task::try_id());
        let mut newest = recent.all.iter().rev().take(newer);
        newer > recent.all.len() || newest.any(|it| it.user == user && it.by != own)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_user_is_included_from_then_on_and_after_too_many_everybody_is() {
        let all = Arc::new(Disconnects::default());
        let add = async |user: String| {
            let all = Arc::clone(&all);
            tokio::spawn(async move { all.add(&user) }).await.unwrap();
        };
        let before = all.now();
        assert!(!all.may_include("ann", before));
        add("ann".to_owned()).await;
        let after = all.now();
        add("bob".to_owned()).await;
        assert!(all.may_include("ann", before) && all.may_include("bob", before));
        assert!(!all.may_include("ann", after) && all.may_include("bob", after));
        for n in 0..REMEMBERED {
            assert!(!all.may_include("cy", after), "{n}");
            add(n.to_string()).await;
        }
        assert!(all.may_include("cy", after));
        assert!(!all.may_include("cy", all.now()));
    }

    #[tokio::test]
    async fn a_task_may_disconnect_its_own_user() {
        let all = Disconnects::default();
        let opens = async {
            let since = all.now();
            all.add("ann");
            all.may_include("ann", since)
        };
        assert!(!opens.await);
    }
}
