//! A client that keeps all it reads, and interprets it as an `EventSource` does.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The time limit for things that are sure to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that is sure to happen.
pub(crate) async fn within<T>(happens: impl Future<Output = T>) -> T {
    timeout(PATIENCE, happens).await.expect("in time")
}

/// A response whose body is still to be read. Dropping it closes the connection.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The part of the body that has been read.
    pub(crate) text: String,
    body: Incoming,
    _connection: JoinSet<()>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// Sends a request. Returns `None` if the connection is closed without a response.
pub(crate) async fn ask(
    server: SocketAddr,
    method: Method,
    path: &str,
    last_event_id: Option<&str>,
) -> Option<Answer> {
    let stream = within(TcpStream::connect(server)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut _connection = JoinSet::new();
    _connection.spawn(async { connection.await.unwrap_or_default() });
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("host", server.to_string());
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = within(sender.send_request(request)).await.ok()?;
    Some(Answer {
        status: response.status(),
        text: String::new(),
        body: response.into_body(),
        _connection,
    })
}

pub(crate) async fn get(server: SocketAddr, path: &str) -> Answer {
    let answer = ask(server, Method::GET, path, None).await;
    answer.expect("an answer")
}

impl Answer {
    /// Reads on. Returns whether there was something.
    pub(crate) async fn read(&mut self) -> bool {
        let Some(Ok(frame)) = self.body.frame().await else {
            return false;
        };
        let data = frame.into_data().unwrap_or_default();
        self.text.push_str(std::str::from_utf8(&data).unwrap());
        true
    }

    /// Reads to the end, or until the connection is cut.
    pub(crate) async fn read_all(&mut self) {
        within(async { while self.read().await {} }).await;
    }

    /// Reads everything that comes within this time. Returns whether there was something.
    pub(crate) async fn read_for(&mut self, time: Duration) -> bool {
        let known = self.text.len();
        let _ = timeout(time, async { while self.read().await {} }).await;
        self.text.len() > known
    }

    /// Reads until there is an event with this data.
    pub(crate) async fn read_until(&mut self, data: &str) -> Event {
        let read = async {
            loop {
                let mut events = self.events().into_iter();
                if let Some(event) = events.find(|event| event.data == data) {
                    return event;
                }
                assert!(self.read().await, "{data} is not in {:?}", self.text);
            }
        };
        within(read).await
    }

    /// Returns the events that have been read, as an `EventSource` dispatches them.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut next = Event::default();
        let text = self.text.replace("\r\n", "\n").replace('\r', "\n");
        // Bytes after the last line end are not a line yet.
        for line in text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match (line, field) {
                ("", _) => {
                    let id = next.id.clone();
                    let event = std::mem::replace(
                        &mut next,
                        Event {
                            id,
                            ..Event::default()
                        },
                    );
                    if let Some(data) = event.data.strip_suffix('\n') {
                        let data = data.to_owned();
                        events.push(Event { data, ..event });
                    }
                }
                (_, "event") => value.clone_into(&mut next.name),
                (_, "id") => value.clone_into(&mut next.id),
                (_, "data") => next.data.extend([value, "\n"]),
                _ => {}
            }
        }
        events
    }
}
