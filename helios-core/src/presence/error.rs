//! The errors of presence.

/// The reason why a client cannot appear in a topic, or why its members cannot be listed.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::{Member, PresenceError};
///
/// async fn enter(client: &SseStream, user: u64) -> Result<bool, SseError> {
///     match client.appear("room:tea", Member::new(user)).await {
///         Err(SseError::Presence(PresenceError::TooManyMembers { .. })) => Ok(false), // it may read, but is not listed
///         entered => entered.map(|()| true),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// No pattern of `SseOptions::presence` matches the topic.
    #[error(
        "nobody can appear in `{0:.64}`, as presence is off there; add the topic, or a pattern that fits it such as `room:*`, to `presence` in `sse_options`"
    )]
    NotEnabled(String),
    /// The backplane does not store members.
    #[error(
        "the backplane `{0}` keeps no members; use one whose `Backplane::tables` gives tables, or list people in the app"
    )]
    NoTables(&'static str),
    /// The stream's handle was made by `SseStream::new` and is not attached yet.
    #[error(
        "the stream belongs to no hub yet; make it with `subscribe` or `create_connection` of the `SseService`, or let it appear in a connection hook"
    )]
    Detached,
    /// The key is empty, or longer than 256 bytes.
    #[error("a member's key has 1 to 256 bytes; use an id, or a hash of what is longer")]
    InvalidKey,
    /// The data is larger than 4 KiB as JSON.
    #[error(
        "the member's data has {size} bytes, the limit is {limit}; send a reference to it instead"
    )]
    DataTooLarge {
        /// The size as JSON, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The topic has as many members as `max_members` allows.
    #[error("the topic has {limit} members already; raise `max_members`")]
    TooManyMembers {
        /// The limit.
        limit: usize,
    },
}
