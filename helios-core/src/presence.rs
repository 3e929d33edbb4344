//! Who is in a topic: what an app says of its members, and what it is told of them. The rules are in [`table`].

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

/// Describes a member of a topic, for `SseStream::appear`: a key, which is a person and not a connection, and what others are to know of
/// them.
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
    /// Names a member by a key of 1 to 256 bytes: the id of a user, above all. Its data is `null`.
    #[must_use]
    pub fn new(key: impl ToString) -> Self {
        Self {
            key: key.to_string(),
            data: Ok("null".to_owned()),
        }
    }

    /// Sets what everybody in the topic is told of the member: a value of at most 4 KiB as JSON. One that cannot be written as JSON is an
    /// error where the member appears.
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

    /// The key and the data as JSON, if they are within their bounds.
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

/// How certain it is that a member is there.
///
/// ```
/// use helios::sse::{MemberStatus, PresentMember};
///
/// /// Shown in grey.
/// fn is_uncertain(member: &PresentMember) -> bool {
///     member.status != MemberStatus::Here
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberStatus {
    /// At least one of its streams is open.
    Here,
    /// Its last stream ended then. It is still a member, as it may come back within the grace (`SseOptions::presence_grace`).
    Away {
        /// When that stream ended.
        since: SystemTime,
    },
    /// Its server has not been heard of since then. It may be there, or its server may be gone, which is certain after 15 seconds.
    Unconfirmed {
        /// When the server was heard of last.
        since: SystemTime,
    },
}

impl MemberStatus {
    /// Returns the status as it is told to clients: `here`, `away` or `unconfirmed`. It does not change.
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

/// A member of a topic, as [`Present`] lists it. As JSON it is `{ "key", "data", "since", "status" }`, `since` in milliseconds since 1970.
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
    /// Who it is.
    pub key: String,
    /// What is known of it; of several streams, what the last one said.
    pub data: Value,
    /// Since when it has been there without a longer break.
    #[serde(serialize_with = "millis")]
    pub since: SystemTime,
    /// How certain it is that it is there now.
    pub status: MemberStatus,
}

impl PresentMember {
    /// A member with these properties.
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

/// Milliseconds since 1970.
fn millis<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    serializer.serialize_u64(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Who is in a topic, as `SseService::present` found it.
///
/// It is true at the id [`at`](Self::at): a page that shows it, and then applies the topic's events behind that id, misses no change. Some
/// of those changes may be in it already, so apply `joined` of one who is there, and `left` of one who is not, as no change.
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
    /// What was found at an id.
    #[must_use]
    pub fn new(at: EventId, members: Vec<PresentMember>) -> Self {
        Self {
            at,
            members,
            age: None,
        }
    }

    /// The same, as it was so long ago.
    #[must_use]
    pub fn aged(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Returns the id at which it is true: no change that was told up to it is missing.
    #[must_use]
    pub fn at(&self) -> EventId {
        self.at
    }

    /// Returns the members, in the order of their keys.
    #[must_use]
    pub fn members(&self) -> &[PresentMember] {
        &self.members
    }

    /// Returns the member with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&PresentMember> {
        self.members.iter().find(|member| member.key == key)
    }

    /// Returns how old it is, where the store of members cannot be reached and this is what was found last. `None` if it is new.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }
}
