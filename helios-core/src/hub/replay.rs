//! Where a topic begins.

use super::id::EventId;

/// Says where a topic begins for a client that brings no position of its own, or none that means anything here. An [`EventId`]
/// is one, too: a topic then begins behind it.
///
/// [`Earliest`](Self::Earliest) and [`Last`](Self::Last) ask for what there is, so nothing that history no longer holds is a
/// `helios:reset`. With a backplane they get what it remembers of the topic, up to this server's limits of history. If it has
/// forgotten something of it, or does not answer, they get what this server holds.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Chat {
///     sse: SseService,
/// }
///
/// #[controller(prefix = "chat")]
/// impl Chat {
///     #[sse("{room}")]
///     async fn enter(&self, #[param] room: &str) -> Result<SseStream, SseError> {
///         self.sse.subscribe_from([room], Replay::Last(2)).await
///     }
/// }
/// # #[server(controllers = [Chat], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// for word in ["one", "two", "three"] {
///     app.sse_service().publish("tea", word).await.unwrap();
/// }
/// let mut tea = app.sse("/chat/tea").await;
/// assert_eq!(tea.next().await.unwrap().event, "helios:ready");
/// assert_eq!(tea.next().await.unwrap().data, "two");
/// assert_eq!(tea.next().await.unwrap().data, "three");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// With what is published from now on.
    #[default]
    Live,
    /// With what was published after this event. If history does not reach back there, the client is told by a
    /// `helios:reset`.
    After(EventId),
    /// With the newest so many events of each topic, or with all that there are, if they are fewer. `Last(0)` is
    /// [`Live`](Self::Live).
    Last(usize),
    /// With the earliest event that is held.
    Earliest,
}

impl From<EventId> for Replay {
    fn from(id: EventId) -> Self {
        Self::After(id)
    }
}
