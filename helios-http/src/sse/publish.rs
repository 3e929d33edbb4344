//! Options for publishing an event.

/// Options for [`SseService::publish_with`](crate::sse::SseService::publish_with). The default publishes as
/// [`publish`](crate::sse::SseService::publish) does.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::PublishOptions;
/// use helios::testing::TestApp;
///
/// # #[server(controllers = [])]
/// # struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), SseError> {
/// # let sse = TestApp::start(App).unwrap().sse_service().clone();
/// // A queue delivers a message again if its first delivery was not acknowledged.
/// let once = PublishOptions::default().key("order-7-paid");
/// let first = sse.publish_with("orders", "paid", &once).await?;
/// let again = sse.publish_with("orders", "paid", &once).await?;
/// assert_eq!(first, again);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    key: Option<String>,
}

impl PublishOptions {
    /// Publishes only if no event was published to the topic with this key in the last 2 minutes
    /// ([`SseOptions::keep_keys`](crate::sse::SseOptions::keep_keys)). Otherwise publishing returns the id of the first
    /// event. A key longer than 256 bytes is an error.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn key_text(&self) -> Option<&str> {
        self.key.as_deref()
    }
}
