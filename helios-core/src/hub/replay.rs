//! The beginning of a topic for one client.

use super::id::EventId;

/// The place where a topic begins for a client that sends no position, or an invalid one. An [`EventId`] converts to it,
/// and the topic then begins behind that event.
///
/// [`Earliest`](Self::Earliest) and [`Last`](Self::Last) request only the events that exist, so missing history causes
/// no `helios:reset`. With a backplane they include the events of the topic that it still has, up to this server's
/// limits on history. If the backplane has dropped some of them or does not answer, the client receives the events that
/// this server holds.
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
    /// Begins with events published from now on.
    #[default]
    Live,
    /// Begins with the first event published after this one. If history does not reach back that far, the client
    /// receives a `helios:reset`.
    After(EventId),
    /// Begins with this many of the newest events of each topic, or with all of them if there are fewer. `Last(0)` is
    /// the same as [`Live`](Self::Live).
    Last(usize),
    /// Begins with the earliest event that is held.
    Earliest,
}

impl From<EventId> for Replay {
    fn from(id: EventId) -> Self {
        Self::After(id)
    }
}
