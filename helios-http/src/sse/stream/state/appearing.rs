//! The topics in which a stream appears as a member.

use std::sync::Arc;

use helios_core::presence::{Member, PresenceError};
use helios_core::sse::SseError;

use super::StreamState;

/// Kept with a stream whose end must be reported to the presence.
#[derive(Clone)]
struct IsMember;

impl StreamState {
    /// Appears in a topic, until the stream ends.
    pub(crate) async fn appear(
        self: &Arc<Self>,
        topic: &str,
        member: Member,
    ) -> Result<(), SseError> {
        let streams = self.streams().ok_or(PresenceError::Detached)?;
        if let Some(reason) = self.finished() {
            return Err(SseError::Closed(reason));
        }
        let presence = streams.presence();
        let appear = presence.appear(self.id, topic, member, || {
            if self.data.insert(IsMember).is_some() {
                // If the stream has ended meanwhile, its end was reported before this topic was known.
                if let Some(reason) = self.finished() {
                    presence.over(self.id, reason);
                }
                return;
            }
            let (presence, id) = (Arc::downgrade(presence), self.id);
            self.on_close(Box::new(move |reason| {
                if let Some(presence) = presence.upgrade() {
                    presence.over(id, reason);
                }
            }));
        });
        let appeared = appear.await;
        match self.finished() {
            Some(reason) => Err(SseError::Closed(reason)),
            None => appeared,
        }
    }

    /// Removes the stream's member from this topic.
    pub(crate) fn disappear(&self, topic: &str) {
        if let Some(streams) = self.streams() {
            streams.presence().disappear(self.id, topic);
        }
    }
}
