//! A load of HTTP/1.1 requests over keep-alive connections, with one request at a time on each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use helios_benches::Error;

/// More than any response here.
const BUFFER_BYTES: usize = 4096;

/// Connections that request the same target as fast as they get responses, until this is dropped.
pub(crate) struct Load {
    answered: Arc<AtomicU64>,
    connections: JoinSet<Error>,
}

impl Load {
    pub(crate) fn start(server: SocketAddr, target: &str, connections: usize) -> Self {
        let answered = Arc::new(AtomicU64::new(0));
        let request: Arc<str> = format!("GET {target} HTTP/1.1\r\nhost: {server}\r\n\r\n").into();
        let mut load = Self {
            answered,
            connections: JoinSet::new(),
        };
        for _ in 0..connections {
            let (request, answered) = (Arc::clone(&request), Arc::clone(&load.answered));
            load.connections
                .spawn(async move { ask(server, &request, &answered).await });
        }
        load
    }

    /// Returns the number of responses so far, or an error if a connection has failed.
    pub(crate) fn answered(&mut self) -> Result<u64, Error> {
        match self.connections.try_join_next() {
            None => Ok(self.answered.load(Ordering::Relaxed)),
            Some(failed) => Err(failed?),
        }
    }
}

/// Sends requests until one fails.
async fn ask(server: SocketAddr, request: &str, answered: &AtomicU64) -> Error {
    let asked = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            stream.write_all(request.as_bytes()).await?;
            read_answer(&mut stream, &mut buffer).await?;
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    match asked.await {
        Ok::<std::convert::Infallible, Error>(never) => match never {},
        Err(error) => error,
    }
}

/// Reads one whole response, which must be a 200.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), Error> {
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            read => filled += read,
        }
        if let Some(length) = length(&buffer[..filled])? {
            return match length == filled {
                true => Ok(()),
                false if length > filled => continue,
                false => Err("more was sent than asked for".into()),
            };
        }
    }
}

/// Returns the length of a response with head and body, once its head is complete.
fn length(answer: &[u8]) -> Result<Option<usize>, Error> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(|line| line.contains(" 200 ")) {
        return Err(format!("the response is not a 200: {head}").into());
    }
    let fields = lines.filter_map(|line| line.split_once(':'));
    let body = fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or("the response has no content-length")?;
    Ok(Some(end + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(length(answer).unwrap(), Some(answer.len()));
        assert_eq!(length(&answer[..30]).unwrap(), None);
        assert!(length(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
