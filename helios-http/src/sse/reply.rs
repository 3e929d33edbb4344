//! [`SseReply`], a stream or a response in its place.

use axum_core::response::{IntoResponse, Response};

/// A stream, or a response in its place. An `#[sse]` method that may return either returns this type, possibly in a
/// `Result` or an `Option`.
///
/// The stream is a generator or an [`SseStream`](crate::sse::SseStream). A producer, which is an `async fn` with an
/// `SseStream` argument, returns `SseReply<()>`. It may return a response until it has sent something or the response
/// head has left, which happens after 250 ms. A response after that becomes an error of the stream, a 500.
///
/// The response is handled like that of a plain route, so filters, closure interceptors and changes of a `ResponseHead`
/// apply. It is sent even when there is no room for another stream, because **only a stream counts against the
/// connection limits**. The limits are checked after the method has returned if its return type names `SseReply`.
/// Behind a type alias they are checked before the method is called, as on other routes. A producer's stream counts
/// before it runs.
///
/// ```
/// use helios::prelude::*;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Ask {
///     text: String,
///     #[serde(default)]
///     stream: bool,
/// }
///
/// #[derive(Injectable)]
/// struct Chat;
///
/// #[controller(prefix = "chat")]
/// impl Chat {
///     #[sse("completions", method = "POST")]
///     async fn complete(
///         &self,
///         #[body] ask: Ask,
///     ) -> Result<SseReply<impl Stream<Item = Result<SseEvent, HttpError>>>, HttpError> {
///         let answer = ask.text.to_uppercase();
///         if !ask.stream {
///             return Ok(SseReply::response(Json(json!({ "answer": answer }))));
///         }
///         Ok(SseReply::Stream(try_stream! {
///             for word in answer.split(' ') {
///                 yield SseEvent::text(word);
///             }
///         }))
///     }
/// }
///
/// #[server(controllers = [Chat], sse(enabled = true))]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use helios::testing::TestApp;
/// let app = TestApp::start(App).unwrap();
/// let whole = app.post("/chat/completions").json(&json!({ "text": "it rains" })).await;
/// assert_eq!(whole.json::<serde_json::Value>(), json!({ "answer": "IT RAINS" }));
///
/// let ask = json!({ "text": "it rains", "stream": true });
/// let mut words = app.sse("/chat/completions").post_json(&ask).await;
/// assert_eq!(words.next().await.unwrap().data, "IT");
/// # }
/// ```
#[derive(Debug)]
pub enum SseReply<S> {
    /// The stream. `()` for a producer, which has sent its events already.
    Stream(S),
    /// The response.
    Response(Response),
}

impl<S> SseReply<S> {
    /// Creates a reply from a response, such as `Json(value)` or `(StatusCode::ACCEPTED, "later")`.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// struct Reports;
    ///
    /// #[controller(prefix = "reports")]
    /// impl Reports {
    ///     #[sse("{id}")]
    ///     async fn report(&self, #[param] id: u64, stream: SseStream) -> Result<SseReply<()>, HttpError> {
    ///         if id == 0 {
    ///             return Ok(SseReply::response((StatusCode::ACCEPTED, "come back later")));
    ///         }
    ///         stream.send_data(json!({ "report": id })).await?;
    ///         Ok(SseReply::Stream(()))
    ///     }
    /// }
    /// ```
    pub fn response(response: impl IntoResponse) -> Self {
        Self::Response(response.into_response())
    }
}
