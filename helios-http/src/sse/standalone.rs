//! [`SseHub`], for streams without an app.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum_core::response::Response;
use http::request::Parts;

use crate::error::Error;
use crate::sse::backplane::Backplane;
use crate::sse::options::SseOptions;
use crate::sse::service::SseService;
use crate::sse::stream::handle::SseStream;
use crate::sse::streams::Streams;

/// A hub for handlers without controllers, such as those of plain hyper, axum or any other server that returns an
/// [`http::Response`]. Its streams behave like those of an app, but have no hooks, interceptors or guards, which belong
/// to controllers.
///
/// [`SseHub::sse`] returns its [`SseService`]. Clones are cheap and refer to the same hub. Call [`SseHub::shutdown`]
/// when your server shuts down.
///
/// ```
/// use helios::axum_core::{body::Body, response::Response};
/// use helios::prelude::*;
/// use helios::SseHub;
///
/// async fn news(hub: SseHub, request: http::Request<Body>) -> Result<Response, SseError> {
///     let client = hub.sse().subscribe(["news"]).await?;
///     let (head, _body) = request.into_parts();
///     Ok(hub.respond(head, client).await)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use http_body_util::BodyExt;
/// let hub = SseHub::with_options(|sse| sse.welcome = true)?;
/// let response = news(hub.clone(), http::Request::get("/news").body(Body::empty())?).await?;
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
///
/// hub.sse().publish("news", "it rains").await?;
/// hub.shutdown(Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SseHub {
    sse: SseService,
}

impl fmt::Debug for SseHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SseHub").field(&self.sse).finish()
    }
}

impl Default for SseHub {
    fn default() -> Self {
        Self::new()
    }
}

impl SseHub {
    /// Creates a hub with the default options.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sse: SseService::new(Streams::new()),
        }
    }

    /// Creates a hub with changed options.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for an unusable option.
    ///
    /// ```
    /// use helios::SseHub;
    /// use std::time::Duration;
    ///
    /// let hub = SseHub::with_options(|sse| sse.keep_alive = Some(Duration::from_secs(30)));
    /// assert!(hub.is_ok());
    /// assert!(SseHub::with_options(|sse| sse.max_topics = 0).is_err());
    /// ```
    pub fn with_options(change: impl FnOnce(&mut SseOptions)) -> Result<Self, Error> {
        let mut options = SseOptions::default();
        change(&mut options);
        options.check()?;
        let hub = Self::new();
        hub.sse.streams.hub.configure(options);
        Ok(hub)
    }

    /// Creates a hub with changed options behind a backplane, as [`Helios::backplane`](crate::Helios::backplane) does
    /// for an app.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for an unusable option. [`Error::Backplane`] if the backplane does not connect.
    pub async fn behind(
        backplane: impl Backplane,
        change: impl FnOnce(&mut SseOptions),
    ) -> Result<Self, Error> {
        let hub = Self::with_options(change)?;
        let streams = &hub.sse.streams;
        streams.set_backplane(Arc::new(backplane));
        streams.start_backplane().await?;
        Ok(hub)
    }

    /// Returns the service of this hub, which creates handles, publishes, and sends to clients.
    #[must_use]
    pub fn sse(&self) -> &SseService {
        &self.sse
    }

    /// Returns the response that streams the events of this handle. The response to a POST is a plain stream. Some
    /// requests get no stream, and the handle is closed as
    /// [`CloseReason::Rejected`](helios_core::sse::CloseReason::Rejected):
    ///
    /// - A client that has seen the end of its stream gets 204.
    /// - A client over a limit gets `helios:overloaded`, or 503 if the stream is plain.
    /// - A HEAD request gets the head alone.
    ///
    /// For a handle that cannot be attached, the response is a 500 with problem JSON.
    ///
    /// Cancel-safe: dropping the future is treated as a client that has disconnected.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use helios::SseHub;
    ///
    /// async fn time(hub: SseHub, head: http::request::Parts) -> helios::axum_core::response::Response {
    ///     let stream = SseStream::new();
    ///     tokio::spawn(tick(stream.clone()));
    ///     hub.respond(head, stream).await
    /// }
    ///
    /// async fn tick(stream: SseStream) -> Result<(), SseError> {
    ///     for n in 0.. {
    ///         stream.send_data(n).await?;
    ///         sleep(Duration::from_secs(1)).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn respond(&self, head: Parts, stream: SseStream) -> Response {
        self.sse.respond(head, stream).await
    }

    /// Shuts the hub down. Open streams end and ask their clients to reconnect, except those that may finish, which
    /// have at most until `deadline`. Streams opened later end at once. Then the backplane is disconnected.
    ///
    /// A server that shuts down gracefully waits for its connections, so call this first.
    pub async fn shutdown(&self, deadline: Duration) {
        self.sse.streams.drain_within(deadline).await;
        self.sse.streams.stop_backplane().await;
    }
}
