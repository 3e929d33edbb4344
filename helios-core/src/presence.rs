//! The members of a topic: how an app describes them, and what it learns about them. [`table`] holds the rules.

mod error;
pub mod table;

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::event::EventError;
use crate::hub::EventId;

pub use error::PresenceError;

/// The longest key of a member, in bytes.
pub const LONGEST_KEY: usize = 256;

/// The most data of a member, in bytes of JSON.
pub const MOST_DATA: usize = 4 * 1024;

/// Describes a member of a topic, for `SseStream::appear`. The key identifies a person, not a connection. The data is
/// what other clients see of them.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::Member;
///
/// let ann = Member::new(7).with(json!({ "name": "ann" }));
/// assert_eq!(ann.key(), "7");
/// ```
#[derive(Clone, Debug)]
pub struct Member {
    key: String,
    data: Result<String, EventError>,
}

impl Member {
    /// Creates a member with a key of 1 to 256 bytes, usually the id of a user. Its data is `null`.
    #[must_use]
    pub fn new(key: impl ToString) -> Self {
        Self {
            key: key.to_string(),
            data: Ok("null".to_owned()),
        }
    }

    /// Sets the data that everybody in the topic receives about the member. It is at most 4 KiB as JSON. If it cannot
    /// be written as JSON, the call that makes the member appear returns the error.
    #[must_use]
    pub fn with(mut self, data: impl Serialize) -> Self {
        let data = serde_json::to_string(&data);
        self.data = data.map_err(|error| EventError::Unserializable(error.to_string()));
        self
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the key and the data as JSON, if they are within their limits.
    #[doc(hidden)]
    pub fn checked(self) -> Result<Result<(String, String), PresenceError>, EventError> {
        let data = self.data?;
        if self.key.is_empty() || self.key.len() > LONGEST_KEY {
            return Ok(Err(PresenceError::InvalidKey));
        }
        if data.len() > MOST_DATA {
            let (size, limit) = (data.len(), MOST_DATA);
            return Ok(Err(PresenceError::DataTooLarge { size, limit }));
        }
        Ok(Ok((self.key, data)))
    }
}

/// How certain it is that a member is in the topic.
///
/// ```
/// use helios::sse::{MemberStatus, PresentMember};
///
/// /// Members that a page shows in grey.
/// fn is_uncertain(member: &PresentMember) -> bool {
///     member.status != MemberStatus::Here
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberStatus {
    /// At least one of its streams is open.
    Here,
    /// Its last stream has ended. It is still a member, as it may come back within the grace period
    /// (`SseOptions::presence_grace`).
    Away {
        /// When that stream ended.
        since: SystemTime,
    },
    /// Its server has been silent for a while. The server may be running or dead, and is considered dead after 15
    /// seconds.
    Unconfirmed {
        /// When the server was last heard from.
        since: SystemTime,
    },
}

impl MemberStatus {
    /// Returns the status as clients receive it: `here`, `away` or `unconfirmed`. These words do not change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Away { .. } => "away",
            Self::Unconfirmed { .. } => "unconfirmed",
        }
    }
}

impl Serialize for MemberStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A member of a topic, as [`Present`] lists it. As JSON it is `{ "key", "data", "since", "status" }`, with `since` in
/// milliseconds since 1970.
///
/// ```
/// use helios::sse::Present;
///
/// fn keys(here: &Present) -> Vec<&str> {
///     here.members().iter().map(|member| &*member.key).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PresentMember {
    /// The member's key.
    pub key: String,
    /// The member's data. If it has several streams, the one that appeared last sets the data.
    pub data: Value,
    /// The time since which it has been a member without a longer break.
    #[serde(serialize_with = "millis")]
    pub since: SystemTime,
    /// How certain it is that the member is here now.
    pub status: MemberStatus,
}

impl PresentMember {
    /// Creates a member with these properties.
    #[must_use]
    pub fn new(key: String, data: Value, since: SystemTime, status: MemberStatus) -> Self {
        Self {
            key,
            data,
            since,
            status,
        }
    }
}

/// Serializes a time as milliseconds since 1970.
fn millis<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    serializer.serialize_u64(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The members of a topic, as `SseService::present` returns them.
///
/// The list is true at the id [`at`](Self::at). A page that shows it, and then applies the topic's events after that
/// id, misses no change. The list may already contain some of those changes. So a `joined` of a member that is in the
/// list sets its data, and a `left` of one that is not in it changes nothing.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::Present;
///
/// fn list(here: &Present) -> SseEvent {
///     let list = json!({ "at": here.at().to_string(), "members": here.members() });
///     SseEvent::json(list).event("people")
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    at: EventId,
    members: Vec<PresentMember>,
    age: Option<Duration>,
}

impl Present {
    /// Creates a list of members that is true at an id.
    #[must_use]
    pub fn new(at: EventId, members: Vec<PresentMember>) -> Self {
        Self {
            at,
            members,
            age: None,
        }
    }

    /// Sets the age of the list, if it is not new.
    #[must_use]
    pub fn aged(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Returns the id at which the list is true. No change published up to it is missing.
    #[must_use]
    pub fn at(&self) -> EventId {
        self.at
    }

    /// Returns the members, sorted by key.
    #[must_use]
    pub fn members(&self) -> &[PresentMember] {
        &self.members
    }

    /// Returns the member with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&PresentMember> {
        self.members.iter().find(|member| member.key == key)
    }

    /// Returns the age of the list if it is an earlier one, returned because the store of members cannot be reached.
    /// Returns `None` if it is new.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }
}
