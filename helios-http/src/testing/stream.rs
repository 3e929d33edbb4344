//! Streams read by tests.

use std::time::Duration;

use axum_core::body::Body;
use helios_core::decode::{Decoded, DecodedEvent, Decoder};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::head::says_event_stream;

/// How long [`TestStream::next`] waits by default. Paused tokio time passes at once.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// A stream as its client reads it. Dropping it disconnects the client.
///
/// ```
/// use helios::sse::Decoded;
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Prices;
///
/// #[controller(prefix = "prices")]
/// impl Prices {
///     #[sse]
///     fn prices(&self) -> impl Stream<Item = SseEvent> {
///         stream! {
///             sleep(Duration::from_secs(60)).await;
///             yield SseEvent::json(21.5).event("price").id(1);
///         }
///     }
/// }
/// # #[server(controllers = [Prices], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// tokio::time::pause(); // in a test: #[tokio::test(start_paused = true)]
/// let app = TestApp::start(App).unwrap();
/// let mut prices = app.sse("/prices").await.with_deadline(Duration::from_secs(120));
/// assert_eq!(prices.headers()["content-type"], "text/event-stream");
/// // `next_item` also returns comments and the reconnection time
/// assert_eq!(prices.next_item().await, Some(Decoded::Comment("".into())));
/// let price = prices.next().await.unwrap();
/// assert_eq!((&*price.event, &*price.data, &*price.id), ("price", "21.5", "1"));
/// assert_eq!(price.json::<f64>().unwrap(), 21.5);
/// assert!(prices.written().starts_with(b":\n"));
/// assert_eq!(prices.rest().await[0].event, "helios:end");
/// # }
/// ```
pub struct TestStream {
    headers: HeaderMap,
    body: Body,
    decoder: Decoder,
    written: Vec<u8>,
    deadline: Duration,
    broke_off: bool,
}

impl TestStream {
    pub(super) fn is_stream(response: &Response<Body>) -> bool {
        says_event_stream(response.headers())
    }

    pub(super) fn new(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            headers: head.headers,
            body,
            decoder: Decoder::new(),
            written: Vec::new(),
            deadline: DEADLINE,
            broke_off: false,
        }
    }

    /// Waits this long for each event, instead of 10 s of tokio's time. Comments that keep the stream alive do not
    /// extend the deadline.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Returns the headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the bytes read so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// Whether the stream has broken off instead of ending. This happens if a filter returns
    /// [`StreamAnswer::BreakOff`], or if a layer fails. It is known when [`TestStream::next`] has returned `None`.
    ///
    /// [`StreamAnswer::BreakOff`]: helios_core::filter::StreamAnswer::BreakOff
    ///
    /// ```
    /// use helios::axum_core::response::Response;
    /// use helios::http::StreamAnswer;
    /// use helios::prelude::*;
    /// use helios::testing::TestApp;
    ///
    /// #[derive(Injectable)]
    /// struct BreaksOff;
    ///
    /// impl Filter for BreaksOff {
    ///     type Error = HttpError;
    ///
    ///     async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
    ///         Err(error.clone())
    ///     }
    ///
    ///     async fn catch_in_stream(&self, _: &HttpError, _: &RequestContext) -> Result<StreamAnswer, HttpError> {
    ///         Ok(StreamAnswer::BreakOff)
    ///     }
    /// }
    ///
    /// #[derive(Injectable)]
    /// struct Words;
    ///
    /// #[controller(filters = [BreaksOff])]
    /// impl Words {
    ///     #[sse("words")]
    ///     fn words(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
    ///         try_stream! {
    ///             yield SseEvent::text("once");
    ///             Err(HttpError::internal("the shelf fell down"))?;
    ///         }
    ///     }
    /// }
    /// # #[server(controllers = [Words], sse(enabled = true))]
    /// # struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = TestApp::start(App).unwrap();
    /// let mut words = app.sse("/words").await;
    /// assert_eq!(words.rest().await.len(), 1);
    /// assert!(words.broke_off());
    /// # }
    /// ```
    #[must_use]
    pub fn broke_off(&self) -> bool {
        self.broke_off
    }

    /// Returns the next event, or `None` at the end of the stream. Cancel-safe.
    ///
    /// # Panics
    ///
    /// If no event comes within the deadline.
    pub async fn next(&mut self) -> Option<DecodedEvent> {
        let end = self.end();
        loop {
            if let Decoded::Event(event) = self.item(end).await? {
                return Some(event);
            }
        }
    }

    /// Returns the next event, comment or retry time, or `None` at the end of the stream. Cancel-safe.
    ///
    /// # Panics
    ///
    /// If none comes within the deadline, or if an item is larger than [`Decoder::DEFAULT_LIMIT`].
    pub async fn next_item(&mut self) -> Option<Decoded> {
        self.item(self.end()).await
    }

    /// Returns the deadline for the item to be read now. `None` if it is beyond the range of the clock.
    fn end(&self) -> Option<Instant> {
        Instant::now().checked_add(self.deadline)
    }

    async fn item(&mut self, end: Option<Instant>) -> Option<Decoded> {
        loop {
            if let Some(item) = self.decoder.next_item() {
                return Some(item);
            }
            let frame = match end {
                Some(end) => timeout_at(end, self.body.frame()).await,
                None => Ok(self.body.frame().await),
            };
            let frame =
                frame.unwrap_or_else(|_| panic!("no event came within {:?}", self.deadline));
            let Ok(frame) = frame? else {
                self.broke_off = true;
                return None;
            };
            let bytes = frame.into_data().ok()?;
            self.written.extend_from_slice(&bytes);
            self.decoder
                .feed(&bytes)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Returns all events up to the end of the stream. Not cancel-safe. Events that a dropped future has read are lost.
    ///
    /// # Panics
    ///
    /// If the stream pauses for longer than the deadline.
    pub async fn rest(&mut self) -> Vec<DecodedEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
