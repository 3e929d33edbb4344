//! The takeover of an HTTP/1 event stream from hyper, so that it owns no buffer while it waits.
//!
//! hyper keeps at least 16 KiB for a connection while it serves it. For thousands of idle streams that would be most of
//! their memory. So hyper reads the requests and writes every response except one kind: an event stream of unknown
//! length, of the app or of a mounted service.
//!
//! 1. **The request arrives.** [`handover::Answered`] is the service that hyper calls. It records how the response
//!    would be framed, and what happens to the request's body, since unread bytes must not be taken for the next
//!    request.
//! 2. **The answer is an event stream.** Its body is stored in the [`handover::Handover`], and hyper gets the head with
//!    a body that is never ready.
//! 3. **hyper writes the head.** It encodes the head as always, after everything that it still had to write.
//!    [`capture::CapturedIo`] is between hyper and the socket, and from now on it keeps these bytes.
//! 4. **hyper flushes.** Now it holds nothing that the client has yet to receive. The connection is taken apart
//!    (`server/http1.rs`), which frees its buffers.
//! 5. **The stream is written.** [`stream::StreamWriter`] writes the captured bytes, polls the body with all layers
//!    around it, and turns each frame into a chunk. A stream that no layer and no interceptor has touched
//!    ([`Answer::Stream`](crate::sse::answer::Answer)) is polled directly, without a boxed body.
//! 6. **The stream ends.** The socket returns to hyper for the next request, with the bytes that were read meanwhile,
//!    unless the connection was to end with this response.
//!
//! # Consequences
//!
//! * Frames are collected in a buffer that the streams of a thread share. Only bytes that a full socket does not accept
//!   are kept.
//! * While such bytes are left, the body is not polled. By this back-pressure the hub notices a slow client.
//! * The stream is the last of its connection if nobody will read the rest of the request's body. It is also the last
//!   if the request has a `transfer-encoding`, because hyper closes the connection if there is a length as well, and
//!   does not report that.
//! * hyper writes the response while somebody may still read the request's body.
//! * Data that the client sends meanwhile is read, since its end of file comes after it. Beyond 4 KiB it is discarded,
//!   and the stream is the last.
//! * hyper serves HTTP/2 from beginning to end, except for the tasks of its streams (`server/progress.rs`).
//! * Thousands of connections do not stay in any cache between two events. So an event touches little memory, and that
//!   lies together. A connection's task is a hand-written future that holds the stream itself. A stream's state begins
//!   with the fields that each event needs. The readers of a topic are woken in the order in which they joined.

pub(super) mod capture;
pub(super) mod handover;
pub(super) mod stream;
