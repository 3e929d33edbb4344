//! The upper limit: one thread, one epoll, and a `send` of the same bytes to each socket.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use tokio::net::unix::pipe;

use super::command::Command;

const LISTENER: Token = Token(0);
const COMMANDS: Token = Token(1);
const FIRST: usize = 2;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

struct Connection {
    stream: TcpStream,
    /// Bytes that did not fit into the socket, and how many of them are written.
    rest: Vec<(Rc<[u8]>, usize)>,
}

#[derive(Default)]
struct Topic {
    members: Vec<usize>,
    published: usize,
    /// Everything that was published, for clients that send a `Last-Event-ID`.
    history: Vec<u8>,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    topics: HashMap<String, Topic>,
}

/// Serves, and publishes each of the `commands` until their pipe closes.
///
/// # Errors
///
/// Returns the errors of the sockets. Works outside of a tokio runtime too.
pub fn serve(listener: std::net::TcpListener, commands: OwnedFd) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listener);
    let mut commands = File::from(pipe::Receiver::from_owned_fd(commands)?.into_nonblocking_fd()?);
    let poll = Poll::new()?;
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let fd = commands.as_raw_fd();
    registry.register(&mut SourceFd(&fd), COMMANDS, Interest::READABLE)?;
    let mut server = Server {
        poll,
        listener,
        connections: Vec::new(),
        topics: HashMap::new(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        server.poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => server.accept()?,
                COMMANDS if !server.obey(&mut commands)? => return Ok(()),
                COMMANDS => {}
                Token(token) if event.is_writable() => server.write_rest(token - FIRST)?,
                Token(token) => server.read(token - FIRST)?,
            }
        }
    }
}

impl Server {
    fn accept(&mut self) -> io::Result<()> {
        while let Some((mut stream, _)) = unless_blocked(self.listener.accept())? {
            stream.set_nodelay(true)?;
            let token = Token(FIRST + self.connections.len());
            let registry = self.poll.registry();
            registry.register(&mut stream, token, Interest::READABLE)?;
            let rest = Vec::new();
            self.connections.push(Some(Connection { stream, rest }));
        }
        Ok(())
    }

    /// Reads a request, which arrives in one piece, or the end.
    fn read(&mut self, place: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        let mut buffer = [0; 4096];
        let Some(read) = unless_blocked(connection.stream.read(&mut buffer))? else {
            return Ok(());
        };
        let request = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
        let Some(path) = request.split(' ').nth(1) else {
            self.connections[place] = None;
            return Ok(());
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let topic = self.topics.entry(name.to_owned()).or_default();
        topic.members.push(place);
        let mut answer = HEAD.as_bytes().to_vec();
        if request.contains("last-event-id") {
            answer.extend_from_slice(&topic.history);
        }
        connection.send(&answer.into(), self.poll.registry(), place)
    }

    /// Publishes each command. Returns false when the pipe is closed.
    fn obey(&mut self, commands: &mut File) -> io::Result<bool> {
        let mut bytes = [0; Command::BYTES];
        // A command is written in one piece, and therefore read in one.
        while let Some(read) = unless_blocked(commands.read(&mut bytes))? {
            if read == 0 {
                return Ok(false);
            }
            self.publish(Command::from_bytes(bytes))?;
        }
        Ok(true)
    }

    fn publish(&mut self, command: Command) -> io::Result<()> {
        for name in command.topics() {
            let topic = self.topics.entry(name).or_default();
            let chunk: Rc<[u8]> = topic.publish(command).into();
            for place in &topic.members {
                if let Some(connection) = &mut self.connections[*place] {
                    connection.send(&chunk, self.poll.registry(), *place)?;
                }
            }
        }
        Ok(())
    }

    fn write_rest(&mut self, place: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[place] else {
            return Ok(());
        };
        for (bytes, from) in std::mem::take(&mut connection.rest) {
            connection.send_from(&bytes, from)?;
        }
        Ok(())
    }
}

impl Topic {
    fn publish(&mut self, command: Command) -> Vec<u8> {
        let mut events = String::new();
        for _ in 0..command.events {
            self.published += 1;
            let (id, data) = (self.published, command.data());
            let _ = write!(events, "id: abcdefabcdef-{id}\ndata: {data}\n\n");
        }
        let chunk = format!("{:x}\r\n{events}\r\n", events.len()).into_bytes();
        // Only one scenario requests history, and it publishes once.
        if self.history.is_empty() {
            self.history.clone_from(&chunk);
        }
        chunk
    }
}

impl Connection {
    fn send(&mut self, bytes: &Rc<[u8]>, registry: &mio::Registry, place: usize) -> io::Result<()> {
        let waited = !self.rest.is_empty();
        self.send_from(bytes, 0)?;
        if !waited && !self.rest.is_empty() {
            let both = Interest::READABLE | Interest::WRITABLE;
            registry.reregister(&mut self.stream, Token(FIRST + place), both)?;
        }
        Ok(())
    }

    fn send_from(&mut self, bytes: &Rc<[u8]>, mut from: usize) -> io::Result<()> {
        while self.rest.is_empty() && from < bytes.len() {
            match unless_blocked(self.stream.write(&bytes[from..]))? {
                Some(written) => from += written,
                None => break,
            }
        }
        if from < bytes.len() {
            self.rest.push((Rc::clone(bytes), from));
        }
        Ok(())
    }
}

fn unless_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
