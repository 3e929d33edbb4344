//! Frames that no client may send, or not in such numbers: the fate of their connection, while other connections are
//! served.
//!
//! The rules are those of RFC 9113, whose sections are at the cases. Only 5.3.1 is of RFC 7540.

use bytes::Bytes;
use helios::prelude::*;
use support::journal::Journal;
use support::{DEADLINE, TestServer, eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Records when a handler is dropped.
struct Runs(Journal);

impl Drop for Runs {
    fn drop(&mut self) {
        self.0.note("gone");
    }
}

#[derive(Injectable)]
struct Site {
    journal: Arc<Journal>,
}

impl Site {
    fn runs(&self) -> Runs {
        self.journal.note("runs");
        Runs(Journal::clone(&self.journal))
    }
}

#[controller]
impl Site {
    #[get]
    fn plain(&self) -> &'static str {
        "still here"
    }

    #[post]
    fn length(&self, #[body] text: String) -> String {
        text.len().to_string()
    }

    #[any("waits")]
    async fn waits(&self) {
        let _runs = self.runs();
        std::future::pending::<()>().await;
    }

    #[sse("stream")]
    fn stream(&self) -> impl Stream<Item = SseEvent> {
        let runs = self.runs();
        stream! {
            let _runs = runs;
            yield SseEvent::text("first");
            std::future::pending::<()>().await;
        }
    }
}

#[server(controllers = [Site], sse(enabled = true))]
struct App;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const NONE: u8 = 0;
/// The flag of SETTINGS and PING.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;

/// Error codes (section 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let id = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &id, payload].concat()
}

/// Encodes literal fields without Huffman's code, as HPACK allows.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let field = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    fields.iter().flat_map(field).collect()
}

const METHOD: (&str, &str) = (":method", "GET");
const POST: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "x");
const JSON: (&str, &str) = ("content-type", "application/json");

fn get(path: &str) -> Vec<u8> {
    fields(&[METHOD, SCHEME, (":path", path), AUTHORITY])
}

/// Returns a request without a body.
fn ask(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(path))
}

/// Returns a head that its client considers complete.
fn head(with: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(with))
}

/// Returns a head, and any bytes after it.
fn post(with: &[(&str, &str)], behind: &[Vec<u8>]) -> Vec<u8> {
    let all = [&[POST, SCHEME, PATH, AUTHORITY, JSON], with].concat();
    let head = frame(HEADERS, END_HEADERS, 1, &fields(&all));
    [head, behind.concat()].concat()
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

fn settings(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, NONE, 0, &setting(id, value))
}

fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, NONE, stream, &by.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, NONE, stream, &CANCEL.to_be_bytes())
}

fn priority(stream: u32, depends_on: u32) -> Vec<u8> {
    let payload = [&depends_on.to_be_bytes()[..], &[15]].concat();
    frame(PRIORITY, NONE, stream, &payload)
}

/// The fate of the connection, and of stream 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// GOAWAY with this code, and the connection is closed.
    Ends(u32),
    /// RST_STREAM with this code. The connection stays open.
    Reset(u32),
    /// A status of HPACK's static table. The connection stays open.
    Answered(u16),
    /// The connection stays open.
    Nothing,
}
use Then::{Answered, Ends, Nothing, Reset};

type Case = (&'static str, Vec<u8>, Then);

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn of_the_connection() -> Vec<Case> {
    let huge = vec![0; 16_385];
    vec![
        (
            "a frame of an unknown kind (5.5)",
            frame(0xbb, 0xff, 0, b"?"),
            Nothing,
        ),
        (
            "unknown flags (4.1)",
            frame(PING, 0xf6, 0, &[0; 8]),
            Nothing,
        ),
        (
            "a reserved bit (4.1)",
            frame(PING, NONE, 1 << 31, &[0; 8]),
            Nothing,
        ),
        ("an unknown setting (6.5.2)", settings(0xff, 1), Nothing),
        (
            "settings of a stream (6.5)",
            frame(SETTINGS, NONE, 1, &[]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "half a setting (6.5)",
            frame(SETTINGS, NONE, 0, &[0; 5]),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "an ack with settings (6.5)",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "push of neither on nor off (6.5.2)",
            settings(2, 2),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a window beyond 2^31-1 (6.5.2)",
            settings(4, 1 << 31),
            Ends(FLOW_CONTROL_ERROR),
        ),
        (
            "too small frames (6.5.2)",
            settings(5, 16_383),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "too large frames (6.5.2)",
            settings(5, 1 << 24),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a ping of a stream (6.7)",
            frame(PING, NONE, 1, &[0; 8]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a short ping (6.7)",
            frame(PING, NONE, 0, &[0; 6]),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "an answer to no ping (6.7)",
            frame(PING, ACK, 0, &[0; 8]),
            Nothing,
        ),
        (
            "a goodbye of a stream (6.8)",
            frame(GOAWAY, NONE, 1, &[0; 8]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a window opened by nothing (6.9)",
            window_update(0, 0),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a window opened too far (6.9.1)",
            window_update(0, (1 << 31) - 1),
            Ends(FLOW_CONTROL_ERROR),
        ),
        (
            "half a window update (6.9)",
            frame(WINDOW_UPDATE, NONE, 0, &[0; 3]),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "a frame that is too large (4.2)",
            frame(DATA, NONE, 1, &huge),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "a push of a client (8.4)",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "data of no stream (6.1)",
            frame(DATA, NONE, 0, b"x"),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "headers of no stream (6.2)",
            frame(HEADERS, END_HEADERS, 0, &get("/")),
            Ends(PROTOCOL_ERROR),
        ),
        ("a reset of no stream (6.4)", reset(0), Ends(PROTOCOL_ERROR)),
        (
            "a priority of no stream (6.3)",
            priority(0, 1),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a stream of the server's (5.1.1)",
            ask(2, "/"),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a continuation of nothing (6.10)",
            frame(CONTINUATION, END_HEADERS, 1, &get("/")),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "bytes that are no HPACK (4.3)",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 9]),
            Ends(COMPRESSION_ERROR),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn of_streams() -> Vec<Case> {
    let half = &get("/")[..9];
    let unfinished = frame(HEADERS, END_STREAM, 1, half);
    let continued = frame(CONTINUATION, END_HEADERS, 1, &get("/")[9..]);
    let waits = ask(1, "/waits");
    let then = |frames: &[&[u8]]| frames.concat();
    vec![
        (
            "data of an idle stream (5.1)",
            frame(DATA, NONE, 1, b"x"),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a reset of an idle stream (6.4)",
            reset(1),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a window of an idle stream (6.9)",
            window_update(1, 1),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a priority of an idle stream (6.3)",
            priority(1, 3),
            Nothing,
        ),
        (
            "a short reset (6.4)",
            frame(RST_STREAM, NONE, 1, &[0; 3]),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "a stream that depends on itself (5.3.1)",
            priority(1, 1),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "headers that depend on themselves (5.3.1)",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS | WITH_PRIORITY,
                1,
                &then(&[&[0, 0, 0, 1, 15], &get("/")]),
            ),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a head in two parts (6.10)",
            then(&[&unfinished, &continued]),
            Answered(200),
        ),
        (
            "half a head, and a ping (6.10)",
            then(&[&unfinished, &frame(PING, NONE, 0, &[0; 8])]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "half a head, and data (6.10)",
            then(&[&unfinished, &frame(DATA, NONE, 1, b"x")]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "half a head, and another's (6.10)",
            then(&[
                &unfinished,
                &frame(CONTINUATION, END_HEADERS, 3, &get("/")[9..]),
            ]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "an unknown frame in a head (5.5)",
            then(&[&unfinished, &frame(0xbb, 0, 1, b"?")]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "padding longer than its frame (6.1)",
            frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 0]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "data padded too much (6.1)",
            post(&[], &[frame(DATA, PADDED, 1, &[9, 0])]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a stream below an earlier one (5.1.1)",
            then(&[&ask(3, "/waits"), &ask(1, "/waits")]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a second head of a closed half (5.1)",
            then(&[&waits, &waits]),
            Ends(STREAM_CLOSED),
        ),
        (
            "data of a closed half (5.1)",
            then(&[&waits, &frame(DATA, NONE, 1, b"x")]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a stream's window opened by nothing (6.9)",
            then(&[&waits, &window_update(1, 0)]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "a stream's window opened too far (6.9.1)",
            then(&[&waits, &window_update(1, (1 << 31) - 1)]),
            Reset(FLOW_CONTROL_ERROR),
        ),
        (
            "a reset, and one more (5.1)",
            then(&[&waits, &reset(1), &reset(1)]),
            Nothing,
        ),
    ]
}

fn of_requests() -> Vec<Case> {
    let data = |text: &[u8]| frame(DATA, END_STREAM, 1, text);
    let trailers = |flags, with: &[_]| frame(HEADERS, flags | END_HEADERS, 1, &fields(with));
    let text = || frame(DATA, NONE, 1, b"\"text\"");
    let malformed = Reset(PROTOCOL_ERROR);
    let and = |with: &[_]| head(&[&[METHOD, SCHEME, PATH, AUTHORITY], with].concat());
    vec![
        ("a request", and(&[]), Answered(200)),
        (
            "a name in capitals (8.2.1)",
            and(&[("Accept", "*/*")]),
            malformed,
        ),
        (
            "a name with a space (8.2.1)",
            and(&[("a b", "c")]),
            malformed,
        ),
        (
            "a newline in a value (8.2.1)",
            and(&[("a", "b\r\nc: d")]),
            malformed,
        ),
        (
            "an unknown pseudo-header (8.3)",
            and(&[(":host", "x")]),
            malformed,
        ),
        (
            "a pseudo-header of answers (8.3)",
            and(&[(":status", "200")]),
            malformed,
        ),
        (
            "a pseudo-header behind a field (8.3)",
            head(&[METHOD, SCHEME, AUTHORITY, ("a", "b"), PATH]),
            malformed,
        ),
        ("two methods (8.3.1)", and(&[METHOD]), malformed),
        ("two schemes (8.3.1)", and(&[SCHEME]), malformed),
        ("two paths (8.3.1)", and(&[PATH]), malformed),
        ("two authorities (8.3.1)", and(&[AUTHORITY]), malformed),
        (
            "no method (8.3.1)",
            head(&[SCHEME, PATH, AUTHORITY]),
            malformed,
        ),
        (
            "no scheme (8.3.1)",
            head(&[METHOD, PATH, AUTHORITY]),
            malformed,
        ),
        (
            "no path (8.3.1)",
            head(&[METHOD, SCHEME, AUTHORITY]),
            malformed,
        ),
        (
            "an empty path (8.3.1)",
            head(&[METHOD, SCHEME, (":path", ""), AUTHORITY]),
            malformed,
        ),
        (
            "a path that is none (8.3.1)",
            head(&[METHOD, SCHEME, (":path", "a"), AUTHORITY]),
            malformed,
        ),
        (
            "`connection` (8.2.2)",
            and(&[("connection", "keep-alive")]),
            malformed,
        ),
        (
            "`keep-alive` (8.2.2)",
            and(&[("keep-alive", "timeout=5")]),
            malformed,
        ),
        (
            "`proxy-connection` (8.2.2)",
            and(&[("proxy-connection", "close")]),
            malformed,
        ),
        (
            "`transfer-encoding` (8.2.2)",
            and(&[("transfer-encoding", "chunked")]),
            malformed,
        ),
        (
            "`upgrade` (8.2.2)",
            and(&[("upgrade", "websocket")]),
            malformed,
        ),
        (
            "`te` of anything but trailers (8.2.2)",
            and(&[("te", "gzip")]),
            malformed,
        ),
        (
            "`te` of trailers (8.2.2)",
            and(&[("te", "trailers")]),
            Answered(200),
        ),
        (
            "the same `host` (8.3.1)",
            and(&[("host", "X")]),
            Answered(200),
        ),
        (
            "another `host` (8.3.1)",
            and(&[("host", "y")]),
            Answered(400),
        ),
        (
            "two of `host` (8.3.1)",
            and(&[("host", "x"), ("host", "x")]),
            Answered(400),
        ),
        (
            "an authority with a user (8.3.1)",
            head(&[METHOD, SCHEME, PATH, (":authority", "a@x")]),
            Answered(400),
        ),
        (
            "an authority that is none (8.3.1)",
            head(&[METHOD, SCHEME, PATH, (":authority", "a b")]),
            malformed,
        ),
        (
            "a tunnel to elsewhere (8.5)",
            head(&[(":method", "CONNECT"), AUTHORITY]),
            Answered(404),
        ),
        (
            "a tunnel with a path (8.5)",
            head(&[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY]),
            malformed,
        ),
        (
            "a body of the length that was told (8.1.1)",
            post(&[("content-length", "6")], &[data(b"\"text\"")]),
            Answered(200),
        ),
        (
            "a body that is too short (8.1.1)",
            post(&[("content-length", "7")], &[data(b"\"text\"")]),
            malformed,
        ),
        (
            "a body that is too long (8.1.1)",
            post(&[("content-length", "5")], &[data(b"\"text\"")]),
            malformed,
        ),
        (
            "a length and no body (8.1.1)",
            head(&[POST, SCHEME, PATH, AUTHORITY, ("content-length", "5")]),
            malformed,
        ),
        (
            "a length that is none (8.1.1)",
            post(&[("content-length", "+6")], &[data(b"\"text\"")]),
            malformed,
        ),
        (
            "trailers (8.1)",
            post(&[], &[text(), trailers(END_STREAM, &[("a", "b")])]),
            Answered(200),
        ),
        (
            "trailers that do not end the stream (8.1)",
            post(&[], &[text(), trailers(NONE, &[("a", "b")])]),
            malformed,
        ),
        (
            "a pseudo-header in trailers (8.1)",
            post(&[], &[text(), trailers(END_STREAM, &[METHOD])]),
            malformed,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn of_floods() -> Vec<Case> {
    let times = |count: usize, frame: &[u8]| frame.repeat(count);
    let unfinished = frame(HEADERS, END_STREAM, 1, &get("/"));
    let open = post(&[(":path", "/waits")][1..], &[]);
    vec![
        (
            "pings",
            times(2_000, &frame(PING, NONE, 0, &[0; 8])),
            Nothing,
        ),
        (
            "settings",
            times(2_000, &frame(SETTINGS, NONE, 0, &[])),
            Nothing,
        ),
        ("priorities", times(2_000, &priority(1, 3)), Nothing),
        (
            "windows that open by one",
            times(2_000, &window_update(0, 1)),
            Nothing,
        ),
        (
            "unknown frames",
            times(2_000, &frame(0xbb, 0, 0, b"?")),
            Nothing,
        ),
        (
            "empty continuations",
            [
                unfinished.clone(),
                times(2_000, &frame(CONTINUATION, NONE, 1, &[])),
            ]
            .concat(),
            Ends(ENHANCE_YOUR_CALM),
        ),
        (
            "continuations",
            [
                unfinished,
                times(2_000, &frame(CONTINUATION, NONE, 1, &fields(&[("a", "b")]))),
            ]
            .concat(),
            Ends(ENHANCE_YOUR_CALM),
        ),
        (
            "empty data",
            [open.clone(), times(20_000, &frame(DATA, NONE, 1, &[]))].concat(),
            Ends(ENHANCE_YOUR_CALM),
        ),
        (
            "bytes of data that nobody reads",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &fields(&[POST, SCHEME, (":path", "/waits"), AUTHORITY]),
                ),
                times(20_000, &frame(DATA, NONE, 1, b"x")),
            ]
            .concat(),
            Ends(ENHANCE_YOUR_CALM),
        ),
        (
            "streams that are reset at once",
            (0..2_000)
                .flat_map(|n| [ask(2 * n + 1, "/waits"), reset(2 * n + 1)].concat())
                .collect(),
            Ends(ENHANCE_YOUR_CALM),
        ),
    ]
}

/// Returns where h2, which reads the frames, differs. Each of its choices is as safe.
fn otherwise(name: &str) -> Option<Then> {
    let one_code_for_all_it_cannot_read = [
        "half a setting (6.5)",
        "an ack with settings (6.5)",
        "a window beyond 2^31-1 (6.5.2)",
        "a short ping (6.7)",
        "half a window update (6.9)",
        "bytes that are no HPACK (4.3)",
        "a short reset (6.4)",
        "a second head of a closed half (5.1)",
    ];
    // The RFC permits that (5.4.1).
    let ends_the_connection_for_the_stream = [
        "a name in capitals (8.2.1)",
        "a name with a space (8.2.1)",
        "a newline in a value (8.2.1)",
        "an unknown pseudo-header (8.3)",
    ];
    // RFC 9113 no longer has dependencies (5.3.2).
    let knows_dependencies = [
        "a stream that depends on itself (5.3.1)",
        "headers that depend on themselves (5.3.1)",
    ];
    let drops_the_field_unseen = ["a pseudo-header in trailers (8.1)"];
    let differences: [(&[_], _); 4] = [
        (&one_code_for_all_it_cannot_read, Ends(PROTOCOL_ERROR)),
        (&ends_the_connection_for_the_stream, Ends(PROTOCOL_ERROR)),
        (&knows_dependencies, Reset(PROTOCOL_ERROR)),
        (&drops_the_field_unseen, Answered(200)),
    ];
    let mut found = differences
        .iter()
        .filter(|(names, _)| names.contains(&name));
    found.next().map(|(_, then)| *then)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A ping whose answer shows that the connection is still open.
const LIVES: &[u8; 8] = b"lives on";

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Bytes,
}

impl Frame {
    /// Reads a frame. Returns `None` when the connection has ended.
    async fn read(socket: &mut TcpStream) -> Option<Self> {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        socket.read_exact(&mut payload).await.ok()?;
        Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload: payload.into(),
        })
    }

    fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Returns the status, which must be one of HPACK's static table.
    fn status(&self) -> u16 {
        match self.payload[0] {
            0x88 => 200,
            0x8c => 400,
            0x8d => 404,
            other => panic!("the status is written as {other:x}"),
        }
    }
}

/// Sends bytes on a connection and returns its fate. `is_waited_for` means that the fate of stream 1 is awaited.
async fn then(server: &TestServer, sent: &[u8], is_waited_for: bool) -> Then {
    let mut socket = TcpStream::connect(server.addr).await.unwrap();
    let ping = frame(PING, NONE, 0, LIVES);
    let all = [PREFACE, sent, &ping].concat();
    let (mut lives, mut then) = (false, Nothing);
    // The server may have ended the connection before it has read everything.
    let _ = socket.write_all(&all).await;
    while !lives || (is_waited_for && then == Nothing) {
        let Some(frame) = Frame::read(&mut socket).await else {
            return then;
        };
        match frame.kind {
            GOAWAY => then = Ends(frame.code(4)),
            PING if frame.flags == ACK => lives |= frame.payload[..] == LIVES[..],
            RST_STREAM if frame.stream == 1 && then == Nothing => then = Reset(frame.code(0)),
            HEADERS if frame.stream == 1 && then == Nothing => then = Answered(frame.status()),
            _ => {}
        }
    }
    then
}

#[tokio::test]
async fn frames_that_break_the_rules_harm_only_their_connection() {
    let journal = Journal::default();
    let server = TestServer::start(Helios::new(App).provide(journal.clone())).await;
    let mut open = TcpStream::connect(server.addr).await.unwrap();
    open.write_all(&[PREFACE, &ask(1, "/stream")].concat())
        .await
        .unwrap();
    journal.wait_for("runs").await;
    let mut wrong = Vec::new();
    for (name, sent, right) in [
        of_the_connection(),
        of_streams(),
        of_requests(),
        of_floods(),
    ]
    .concat()
    {
        let seen = tokio::time::timeout(DEADLINE / 4, then(&server, &sent, right != Nothing)).await;
        let expected = otherwise(name).unwrap_or(right);
        if seen != Ok(expected) {
            wrong.push(format!("{name}: {seen:?} instead of {expected:?}"));
        }
        assert_eq!(server.get("/").await.text(), "still here", "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eventually(|| journal.count("runs") == journal.count("gone") + 1).await;
    assert_eq!(
        server.sse.stats().connections,
        1,
        "the stream is still open"
    );
    within(open.write_all(&frame(PING, NONE, 0, LIVES)))
        .await
        .unwrap();
    loop {
        let frame = within(Frame::read(&mut open)).await.unwrap();
        if frame.kind == PING && frame.payload[..] == LIVES[..] {
            break;
        }
    }
}
