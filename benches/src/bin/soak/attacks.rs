//! A table of the attacks of hostile peers. Each holds some resource of the server for nothing, or tries to.

use fastrand::Rng;

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Returns the bytes to send first.
    pub(crate) opening: fn() -> Vec<u8>,
    pub(crate) then: Then,
}

/// The rest of an attack, after the opening.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Neither sends nor reads. The server has to end the connection.
    Waits,
    /// Sends a byte each second. The server has to end the connection.
    Drips,
    /// Sends this again and again and reads nothing. The server has to end the connection.
    Repeats(fn() -> Vec<u8>),
    /// Sends much more, and leaves.
    OverflowsAndLeaves,
    /// It leaves at once.
    Leaves,
}

const fn attack(name: &'static str, opening: fn() -> Vec<u8>, then: Then) -> Attack {
    Attack {
        name,
        opening,
        then,
    }
}

const ATTACKS: [Attack; 16] = [
    attack("reads no stream", || get("/targets/torrent"), Then::Waits),
    attack("reads no answer", || get("/targets/large"), Then::Waits),
    attack("reads no WebSocket", upgrade, Then::Repeats(message)),
    attack("says nothing", Vec::new, Then::Waits),
    attack(
        "sends half a head",
        || b"GET /stats HTTP/1.1\r\nho".to_vec(),
        Then::Waits,
    ),
    attack(
        "drips a head",
        || b"GET /stats HTTP/1.1\r\nx: ".to_vec(),
        Then::Drips,
    ),
    attack(
        "asks for nothing more",
        || get("/targets/small"),
        Then::Waits,
    ),
    attack("stops in a body", half_a_body, Then::Waits),
    attack(
        "speaks no HTTP",
        || {
            vec![
                0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, b'\r', b'\n', b'\r', b'\n',
            ]
        },
        Then::Waits,
    ),
    attack(
        "leaves behind what it sent",
        || get("/events?topics=hot-0"),
        Then::OverflowsAndLeaves,
    ),
    attack(
        "comes and goes",
        || get("/events?topics=hot-1"),
        Then::Leaves,
    ),
    attack(
        "HTTP/2: opens no window",
        || http2(Some("/targets/torrent")),
        Then::Waits,
    ),
    attack(
        "HTTP/2: reads nothing",
        || http2_with(&[], Some("/targets/large")),
        Then::Waits,
    ),
    attack("HTTP/2: asks for nothing", || http2(None), Then::Waits),
    attack("HTTP/2: sends half a head", half_a_block, Then::Waits),
    attack(
        "HTTP/2: takes every request back",
        || http2(None),
        Then::Repeats(taken_back),
    ),
];

pub(crate) fn any(rng: &mut Rng) -> &'static Attack {
    &ATTACKS[rng.usize(..ATTACKS.len())]
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

fn half_a_body() -> Vec<u8> {
    b"POST /targets/upload HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999\r\n\r\n\"half".to_vec()
}

fn upgrade() -> Vec<u8> {
    b"GET /targets/echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
      sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec()
}

/// Returns a masked text of 1,000 bytes (RFC 6455, section 5.2), which the server echoes.
fn message() -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126, 0x03, 0xe8, 0, 0, 0, 0];
    frame.extend([b'x'; 1_000]);
    frame
}

/// Encodes a frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Encodes a GET as a block of fields: two names of HPACK's static table, and two literals (RFC 7541, appendix A).
fn block(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.bytes());
    block.extend(b"\x41\x01x");
    block
}

/// Returns the beginning of a connection that never opens the window of a stream.
fn http2(path: Option<&str>) -> Vec<u8> {
    let initial_window_size = [0, 4, 0, 0, 0, 0];
    http2_with(&initial_window_size, path)
}

fn http2_with(settings: &[u8], path: Option<&str>) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, settings));
    if let Some(path) = path {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(path)));
    }
    bytes
}

fn half_a_block() -> Vec<u8> {
    let mut bytes = http2(None);
    bytes.extend(frame(HEADERS, END_STREAM, 1, &block("/stats")));
    bytes
}

/// Opens many streams and cancels each at once. The server has to refuse that too.
fn taken_back() -> Vec<u8> {
    let streams = (0..200).map(|n| 2 * n + 1);
    let taken_back = streams.flat_map(|stream| {
        let asked = frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &block("/targets/small"),
        );
        let cancel = 8_u32.to_be_bytes();
        [asked, frame(RST_STREAM, 0, stream, &cancel)].concat()
    });
    taken_back.collect()
}
