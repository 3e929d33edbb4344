//! The client's end of one connection: a socket, its chunks, and the events in them.

use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use helios::sse::{Decoded, Decoder, EventId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::kind::Traits;
use crate::server::SOCKET_BUFFER;

const BUFFER_BYTES: usize = 8 * 1024;

pub(crate) struct Stream {
    socket: TcpStream,
    chunks: Chunks,
    decoder: Decoder,
    buffer: Vec<u8>,
}

/// How the server has ended the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After its last chunk.
    Whole,
    /// In the middle.
    Cut,
    /// With a reset of the connection.
    Reset,
}

/// A request for a stream.
pub(crate) struct Request<'a> {
    pub(crate) kind: &'a Traits,
    pub(crate) topics: &'a [&'a str],
    /// Whether to begin with the earliest event, if it brings no id.
    pub(crate) earliest: bool,
    /// How many milliseconds the handler and hooks have to wait.
    pub(crate) wait: Option<u64>,
    pub(crate) last_event_id: Option<String>,
}

impl Request<'_> {
    fn head(&self, server: SocketAddr) -> String {
        let Traits { method, path, .. } = self.kind;
        let topics = self.topics.join(",");
        let wait = self.wait;
        let wait = wait.map_or(String::new(), |millis| format!("&wait={millis}"));
        let earliest = match self.earliest {
            true => "&lastEventId=earliest",
            false => "",
        };
        let last = self.last_event_id.as_ref();
        let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        let target = format!("{path}?topics={topics}{wait}{earliest}");
        format!("{method} {target} HTTP/1.1\r\nhost: {server}\r\ncontent-length: 0\r\n{last}\r\n")
    }
}

/// The response to a request for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The stream is open. The head of a plain one may hold its position.
    Open(Option<EventId>),
    /// There is nothing more to come.
    Over,
    /// The client has to begin anew.
    Gone,
    /// The client has to come back later.
    Busy(Duration),
}

impl Answer {
    fn of(head: &str) -> Option<Self> {
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find_map(|(key, value)| (key == name).then_some(value))
        };
        match head.split(' ').nth(1)? {
            "200" if header("transfer-encoding") == Some("chunked") => {
                let position = header("helios-position").map(str::parse).transpose();
                Some(Self::Open(position.ok()?))
            }
            "204" => Some(Self::Over),
            "410" => Some(Self::Gone),
            "503" => {
                let seconds = header("retry-after")?.parse().ok()?;
                Some(Self::Busy(Duration::from_secs(seconds)))
            }
            _ => None,
        }
    }
}

impl Stream {
    /// Connects and sends the request.
    pub(crate) async fn ask(server: SocketAddr, request: &Request<'_>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        let mut socket = socket.connect(server).await?;
        socket.write_all(request.head(server).as_bytes()).await?;
        Ok(Self {
            socket,
            chunks: Chunks::default(),
            decoder: Decoder::new(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Reads the head of the response.
    pub(crate) async fn head(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        let length = loop {
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.socket.read_buf(&mut head).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        };
        let body = head.split_off(length);
        let text = String::from_utf8_lossy(&head);
        let answer = Answer::of(&text);
        let answer = answer.ok_or_else(|| Error::other(format!("answered {text:?}")))?;
        if let Answer::Open(_) = answer {
            self.chunks.feed(&body, &mut self.decoder)?;
        }
        Ok(answer)
    }

    /// Returns the next event or comment. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Decoded, End> {
        loop {
            if let Some(item) = self.next_read() {
                return Ok(item);
            }
            self.read(BUFFER_BYTES).await?;
        }
    }

    /// Returns the next event or comment of what has been read.
    pub(crate) fn next_read(&mut self) -> Option<Decoded> {
        self.decoder.next_item()
    }

    /// Reads once, at most `most` bytes. Cancel-safe.
    pub(crate) async fn read(&mut self, most: usize) -> Result<(), End> {
        // The connection stays open for another request, so no end of file follows.
        if self.chunks.is_over() {
            return Err(End::Whole);
        }
        let read = match self.socket.read(&mut self.buffer[..most]).await {
            Ok(0) => return Err(End::Cut),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(End::Reset),
            Err(_) => return Err(End::Cut),
        };
        let fed = self.chunks.feed(&self.buffer[..read], &mut self.decoder);
        fed.map_err(|_| End::Cut)
    }

    /// Closes the sending side, and goes on reading.
    pub(crate) async fn half_close(&mut self) {
        // The stream may be over already. The next read shows that.
        let _ = self.socket.shutdown().await;
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        // If the connection is over already, nothing is lost.
        let _ = self.socket.set_zero_linger();
    }
}

/// A decoder for the chunked coding of HTTP/1.1, without trailers.
#[derive(Default)]
struct Chunks {
    state: Chunk,
    left: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    #[default]
    Size,
    Data,
    /// The line end after the data.
    Edge,
    Over,
}

impl Chunks {
    fn is_over(&self) -> bool {
        self.state == Chunk::Over
    }

    fn feed(&mut self, mut bytes: &[u8], decoder: &mut Decoder) -> io::Result<()> {
        while let Some(byte) = bytes.first() {
            match self.state {
                Chunk::Data => {
                    let (data, rest) = bytes.split_at(self.left.min(bytes.len()));
                    decoder.feed(data).map_err(Error::other)?;
                    self.left -= data.len();
                    bytes = rest;
                    if self.left == 0 {
                        self.state = Chunk::Edge;
                    }
                    continue;
                }
                Chunk::Size => self.size(*byte)?,
                Chunk::Edge if *byte == b'\n' => self.state = Chunk::Size,
                Chunk::Edge | Chunk::Over => {}
            }
            bytes = &bytes[1..];
        }
        Ok(())
    }

    fn size(&mut self, byte: u8) -> io::Result<()> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) => self.left = self.left * 16 + digit as usize,
            (None, b'\r') => {}
            (None, b'\n') if self.left == 0 => self.state = Chunk::Over,
            (None, b'\n') => self.state = Chunk::Data,
            _ => return Err(Error::other("not a chunk")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_by_its_status_and_headers() {
        let open = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nhelios-position: 1-7\r\n\r\n";
        let position = EventId::new(1, 7);
        assert_eq!(Answer::of(open), Some(Answer::Open(Some(position))));
        let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\n\r\n";
        let seven = Duration::from_secs(7);
        assert_eq!(Answer::of(busy), Some(Answer::Busy(seven)));
        assert_eq!(Answer::of("HTTP/1.1 503 Service Unavailable\r\n\r\n"), None);
        assert_eq!(Answer::of("HTTP/1.1 410 Gone\r\n\r\n"), Some(Answer::Gone));
        assert_eq!(Answer::of("HTTP/1.1 500 No\r\n\r\n"), None);
    }

    #[test]
    fn a_response_is_complete_only_with_its_last_chunk() {
        let bytes = b"9\r\ndata: a\n\n\r\n0\r\n\r\n";
        for length in 0..bytes.len() {
            let (mut chunks, mut decoder) = (Chunks::default(), Decoder::new());
            chunks.feed(&bytes[..length], &mut decoder).unwrap();
            assert_eq!(chunks.is_over(), length + 3 > bytes.len(), "{length}");
        }
    }

    #[test]
    fn chunks_are_joined_wherever_they_are_cut() {
        let bytes = b"9\r\ndata: a\n\n\r\n1\r\nd\r\n0A\r\nata: bcd\n\n\r\n0\r\n\r\n";
        for size in 1..bytes.len() {
            let (mut chunks, mut decoder) = (Chunks::default(), Decoder::new());
            for part in bytes.chunks(size) {
                chunks.feed(part, &mut decoder).unwrap();
            }
            assert!(chunks.is_over());
            let events = std::iter::from_fn(|| decoder.next_item());
            let data = events.filter_map(|item| match item {
                Decoded::Event(event) => Some(event.data),
                _ => None,
            });
            assert_eq!(data.collect::<Vec<_>>(), ["a", "bcd"]);
        }
    }
}
