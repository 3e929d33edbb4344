//! [`SseReply`]: a stream, or a response in its place.

use axum_core::response::{IntoResponse, Response};

/// A stream, or a response in its place: what an `#[sse]` method returns that may answer with either, be it in a `Result` or
/// an `Option`.
///
/// The stream is a generator or an [`SseStream`](crate::sse::SseStream). A producer, which is an `async fn` that takes an
/// `SseStream`, returns `SseReply<()>`; it may answer with a response until something was sent or its head has left, which is
/// after 250 ms. Later the response is an error of the stream, a 500.
///
/// The response is treated as that of a plain route: filters, closure interceptors and what was set on a `ResponseHead` apply.
/// It is answered even when there is no room for another stream, since **only a stream counts against the limits of
/// connections**. That is decided when the method has returned, where its return type names `SseReply`; behind an alias
/// it is decided before the method is called, as on other routes. A producer's stream counts before it runs.
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
    /// The stream; `()` if it is a producer's, which has been sent by now.
    Stream(S),
    /// The response.
    Response(Response),
}

impl<S> SseReply<S> {
    /// Returns the reply that is this response, such as `Json(value)` or `(StatusCode::ACCEPTED, "later")`.
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
