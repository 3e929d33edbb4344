//! A load of readers. One thread reads many streams, and only counts the marks in what it reads.
//!
//! If it has a core of its own, it does not sleep while it waits. The kernel charges the wake-up of a reader to the
//! sender, so a server would pay for it. A slow server would pay most, since its readers sleep between any two events.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Error;
use crate::sse::{MARK, now};

/// How long a server may be silent while a reader waits for something.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most connections that wait for responses at the same time. More would overflow the server's accept queue.
const AT_ONCE: usize = 100;

struct Stream {
    tcp: TcpStream,
    /// The response's head, until it is complete.
    head: Option<Vec<u8>>,
}

/// How readers wait when there is nothing to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// They poll, on a core of their own.
    Spin,
    /// They leave the core to the server.
    Sleep,
}

/// Open streams of events.
pub struct Readers {
    server: SocketAddr,
    idle: Idle,
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    streams: Vec<Stream>,
    /// Streams whose head has arrived.
    open: usize,
    /// Events read so far.
    pub received: u64,
    /// Bytes read so far, with heads and chunks.
    pub bytes: u64,
    /// Nanoseconds from publish to receipt, for each event that was read since this was set.
    pub latencies: Option<Vec<u64>>,
    /// The body of the first stream, if it is to be kept.
    pub first: Vec<u8>,
}

impl Readers {
    /// Creates a set of readers without streams.
    ///
    /// # Errors
    ///
    /// Returns the errors of epoll.
    pub fn new(server: SocketAddr, idle: Idle) -> io::Result<Self> {
        Ok(Self {
            server,
            idle,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; 128 * 1024].into(),
            streams: Vec::new(),
            open: 0,
            received: 0,
            bytes: 0,
            latencies: None,
            first: Vec::new(),
        })
    }

    /// Opens `count` streams of this target, and waits until all are open.
    ///
    /// # Errors
    ///
    /// Returns an error if one cannot be opened.
    pub fn open(&mut self, target: &str, count: usize) -> Result<(), Error> {
        self.open_each(&vec![target.to_owned(); count])
    }

    /// Opens a stream of each target, and waits until all are open.
    ///
    /// # Errors
    ///
    /// Returns an error if one cannot be opened.
    pub fn open_each(&mut self, targets: &[String]) -> Result<(), Error> {
        for batch in targets.chunks(AT_ONCE) {
            self.connect(batch.len())?;
            self.ask(batch, "")?;
            self.wait_until_open()?;
        }
        Ok(())
    }

    /// Opens `count` connections, without sending requests yet.
    ///
    /// # Errors
    ///
    /// Returns an error if one cannot be opened.
    pub fn connect(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let tcp = std::net::TcpStream::connect(self.server)?;
            tcp.set_nodelay(true)?;
            tcp.set_nonblocking(true)?;
            let mut tcp = TcpStream::from_std(tcp);
            let token = Token(self.streams.len());
            let registry = self.poll.registry();
            registry.register(&mut tcp, token, Interest::READABLE)?;
            let head = Some(Vec::new());
            self.streams.push(Stream { tcp, head });
        }
        Ok(())
    }

    /// Sends a request with these header lines on the newest connections, one for each target.
    ///
    /// # Errors
    ///
    /// Returns the errors of the sockets.
    pub fn ask(&mut self, targets: &[String], headers: &str) -> io::Result<()> {
        let server = self.server;
        let newest = self.streams.len() - targets.len();
        for (stream, target) in self.streams[newest..].iter_mut().zip(targets) {
            let request = format!(
                "GET {target} HTTP/1.1\r\nhost: {server}\r\naccept: text/event-stream\r\n{headers}\r\n"
            );
            stream.tcp.write_all(request.as_bytes())?;
        }
        Ok(())
    }

    /// Waits until every connection has its head.
    ///
    /// # Errors
    ///
    /// Returns an error if the server is silent, ends a stream, or responds with another status than 200.
    pub fn wait_until_open(&mut self) -> Result<(), Error> {
        while self.open < self.streams.len() {
            self.read()?;
        }
        Ok(())
    }

    /// Waits until `events` events were received in all.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Readers::wait_until_open`], and an error if there were more events.
    pub fn wait_for(&mut self, events: u64) -> Result<(), Error> {
        while self.received < events {
            self.read()?;
        }
        match self.received == events {
            true => Ok(()),
            false => Err(format!("{} events instead of {events}", self.received).into()),
        }
    }

    /// Reads everything that arrives within this time.
    ///
    /// # Errors
    ///
    /// See [`Readers::wait_until_open`].
    pub fn read_for(&mut self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.read_within(left)?;
        }
        Ok(())
    }

    /// Closes all streams.
    pub fn close(&mut self) {
        self.streams.clear();
        self.open = 0;
    }

    fn read(&mut self) -> Result<(), Error> {
        match self.read_within(PATIENCE)? {
            true => Ok(()),
            false => {
                let (open, of) = (self.open, self.streams.len());
                let received = self.received;
                Err(format!("silence: {open} of {of} open, {received} events").into())
            }
        }
    }

    /// Reads within this time. Returns false if there was nothing.
    fn read_within(&mut self, time: Duration) -> Result<bool, Error> {
        match self.wait(time) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            done => done?,
        }
        let any = !self.events.is_empty();
        let ready = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let read = ready
            .iter()
            .try_for_each(|event| self.drain(event.token().0));
        self.events = ready;
        read.map(|()| any)
    }

    fn wait(&mut self, time: Duration) -> io::Result<()> {
        if self.idle == Idle::Sleep {
            return self.poll.poll(&mut self.events, Some(time));
        }
        let start = Instant::now();
        loop {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            if !self.events.is_empty() || start.elapsed() >= time {
                return Ok(());
            }
        }
    }

    /// Reads until the socket is empty, as an edge-triggered epoll requires.
    fn drain(&mut self, place: usize) -> Result<(), Error> {
        loop {
            let read = match self.streams[place].tcp.read(&mut self.buffer) {
                Ok(0) => return Err("the server ended a stream".into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.take(place, read)?;
            if read < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, place: usize, read: usize) -> Result<(), Error> {
        self.bytes += read as u64;
        let bytes = &self.buffer[..read];
        let stream = &mut self.streams[place];
        let body = match &mut stream.head {
            None => bytes,
            Some(head) => {
                let before = head.len();
                head.extend_from_slice(bytes);
                let Some(length) = head_length(head)? else {
                    return Ok(());
                };
                stream.head = None;
                self.open += 1;
                &bytes[length - before..]
            }
        };
        if place == 0 && self.first.len() < 4096 {
            self.first.extend_from_slice(body);
        }
        self.received += memchr::memchr_iter(MARK, body).count() as u64;
        if let Some(latencies) = &mut self.latencies {
            let received = now();
            let published = memchr::memchr_iter(MARK, body).filter_map(|at| time(&body[at..]));
            latencies.extend(published.map(|published| received.saturating_sub(published)));
        }
        Ok(())
    }
}

/// Returns when an event was published. `event` begins at its mark.
fn time(event: &[u8]) -> Option<u64> {
    std::str::from_utf8(event.get(1..20)?).ok()?.parse().ok()
}

/// Returns the length of a head, once it is complete. The head must be of a 200.
fn head_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    match bytes.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(Some(end + 4)),
        false => Err(String::from_utf8_lossy(&bytes[..end]).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_must_be_complete_and_of_a_200() {
        let answer = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n:\n";
        assert_eq!(head_length(answer).unwrap(), Some(answer.len() - 2));
        assert_eq!(head_length(&answer[..20]).unwrap(), None);
        assert!(head_length(b"HTTP/1.1 503 Busy\r\n\r\n").is_err());
    }
}
