//! The members that were last found in each topic, for when the store cannot be reached.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use helios_core::presence::Present;
use tokio::time::Instant;

/// The most topics to remember. The topics that were queried longest ago are dropped first.
const MOST_TOPICS: usize = 1_024;

/// The most members to remember in all topics together.
const MOST_MEMBERS: usize = 20_000;

#[derive(Default)]
pub(super) struct Snapshots {
    known: HashMap<Arc<str>, (Present, Instant)>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
    members: usize,
}

impl Snapshots {
    pub(super) fn keep(&mut self, topic: &str, present: &Present, now: Instant) {
        self.order.retain(|known| **known != *topic);
        self.forget(topic);
        self.members += present.members().len();
        self.known.insert(topic.into(), (present.clone(), now));
        self.order.push_back(topic.into());
        while self.order.len() > MOST_TOPICS || self.members > MOST_MEMBERS {
            match self.order.pop_front() {
                Some(oldest) => self.forget(&oldest),
                None => return,
            }
        }
    }

    fn forget(&mut self, topic: &str) {
        if let Some((present, _)) = self.known.remove(topic) {
            self.members -= present.members().len();
        }
    }

    /// Returns the members that were last found, with their age.
    pub(super) fn find(&self, topic: &str, now: Instant) -> Option<Present> {
        let (present, at) = self.known.get(topic)?;
        Some(present.clone().aged(now.duration_since(*at)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use helios_core::hub::EventId;
    use helios_core::presence::{MemberStatus, PresentMember};

    use super::*;

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let (mut snapshots, now) = (Snapshots::default(), Instant::now());
        let here = |n| {
            let member = |n: usize| {
                let status = MemberStatus::Here;
                PresentMember::new(n.to_string(), ().into(), SystemTime::UNIX_EPOCH, status)
            };
            Present::new(EventId::new(1, 1), (0..n).map(member).collect())
        };
        for n in 0..MOST_TOPICS + 1 {
            snapshots.keep(&n.to_string(), &here(1), now);
        }
        assert!(snapshots.find("0", now).is_none() && snapshots.find("1", now).is_some());
        snapshots.keep("crowd", &here(MOST_MEMBERS - 1), now);
        assert_eq!((snapshots.known.len(), snapshots.order.len()), (2, 2));
        snapshots.keep("crowd", &here(MOST_MEMBERS + 1), now);
        assert!(snapshots.known.is_empty() && snapshots.members == 0);
    }
}
