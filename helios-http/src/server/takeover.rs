//! How an event stream over HTTP/1 is taken over from hyper, so that it owns no buffer while it waits.
//!
//! hyper keeps at least 16 KiB for a connection as long as it serves it. For thousands of streams that have nothing to write
//! that is most of their memory. So hyper reads the requests and writes every response but one kind: an event stream of
//! unknown length, of the app or of a mounted service.
//!
//! 1. **The request comes.** [`handover::Answered`] is the service that hyper asks. It notes how the response would be framed,
//!    and what becomes of the request's body: what is unread must not be taken for the next request.
//! 2. **The answer is an event stream.** Its body is put aside in the [`handover::Handover`], and hyper is given the head with
//!    a body that is never ready.
//! 3. **hyper writes the head.** It encodes it as it always does, behind whatever it still had to write.
//!    [`capture::CapturedIo`] stands between hyper and the socket, and from now on it keeps these bytes.
//! 4. **hyper flushes.** Now it holds nothing that the client is owed. The connection is taken apart
//!    (`server/http1.rs`), which frees its buffers.
//! 5. **The stream is written.** [`stream::StreamWriter`] writes the bytes that were kept, polls the body with all layers
//!    around it, and makes each frame a chunk. A stream that no layer and no interceptor has touched
//!    ([`Answer::Stream`](crate::sse::answer::Answer)) is polled directly, without a boxed body.
//! 6. **The stream ends.** The socket goes back to hyper for the next request, with what was read meanwhile, unless the
//!    connection was to end with this response.
//!
//! # Consequences
//!
//! * Frames are gathered in a buffer that the streams of a thread share. Only the bytes that a full socket leaves over are kept.
//! * While some are left over the body is not polled. That is the back-pressure by which the hub tells a slow client.
//! * The stream is the last of its connection if nobody will read the rest of the request's body, and also if the request has a
//!   `transfer-encoding`: hyper closes the connection if there is a length as well, and does not tell us so.
//! * A response stays hyper's as long as somebody may still read the request's body.
//! * What the client sends meanwhile is read, as its end stands behind it. Beyond 4 KiB it is thrown away, and the stream is the last.
//! * HTTP/2 stays hyper's from beginning to end, but for the tasks of its streams (`server/progress.rs`).
//! * No cache holds thousands of connections from one event to the next. So an event looks at little, and that lies together:
//!   a connection's task is a future written by hand that holds the stream itself, a stream's state begins with the fields
//!   that each event needs, and the readers of a topic are woken in the order in which they joined.

pub(super) mod capture;
pub(super) mod handover;
pub(super) mod stream;
