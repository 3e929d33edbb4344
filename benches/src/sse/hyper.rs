//! The server with nothing but hyper. A body reads a list of encoded events, and is woken when the list grows.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::command::{Publisher, publish};

/// The number of events in the history.
const HISTORY: usize = 1024;

type Topics = Mutex<HashMap<String, Arc<Mutex<Topic>>>>;

#[derive(Default)]
struct Topic {
    /// The newest of all events so far.
    events: VecDeque<Bytes>,
    published: usize,
    waiting: Vec<Waker>,
}

#[derive(Clone, Default)]
struct Server(Arc<Topics>);

impl Server {
    fn topic(&self, name: &str) -> Arc<Mutex<Topic>> {
        let mut topics = lock(&self.0);
        Arc::clone(topics.entry(name.to_owned()).or_default())
    }
}

impl Publisher for Server {
    async fn publish(&self, topic: &str, data: String) {
        let topic = self.topic(topic);
        let woken = {
            let mut topic = lock(&topic);
            topic.published += 1;
            let mut event = BytesMut::new();
            let _ = write!(event, "id: {}\ndata: {data}\n\n", topic.published);
            topic.events.push_back(event.freeze());
            if topic.events.len() > HISTORY {
                topic.events.pop_front();
            }
            std::mem::take(&mut topic.waiting)
        };
        woken.into_iter().for_each(Waker::wake);
        tokio::task::consume_budget().await;
    }
}

struct Reader {
    topic: Arc<Mutex<Topic>>,
    /// Events read so far.
    read: usize,
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let topic = Arc::clone(&self.topic);
        let mut topic = lock(&topic);
        let new = topic.published - self.read;
        if new == 0 {
            topic.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        self.read = topic.published;
        let first = topic.events.len().saturating_sub(new);
        let mut events = topic.events.range(first..);
        let frame = match (events.len(), events.next()) {
            (1, Some(only)) => only.clone(),
            (_, first) => joined(first.into_iter().chain(events)),
        };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

fn joined<'a>(events: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut all = BytesMut::new();
    events.for_each(|event| all.extend_from_slice(event));
    all.freeze()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves, and publishes each of the `commands` until their pipe closes.
///
/// # Errors
///
/// Returns an error if no connection can be accepted.
pub async fn serve(listener: TcpListener, commands: OwnedFd) -> io::Result<()> {
    let server = Server::default();
    let published = tokio::spawn(publish(commands, server.clone()));
    tokio::select! {
        failed = accept(&listener, &server) => failed,
        _ = published => Ok(()),
    }
}

async fn accept(listener: &TcpListener, server: &Server) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = server.clone();
        let service = service_fn(move |request| {
            let response = subscribe(&server, &request);
            async { Ok::<_, Infallible>(response) }
        });
        let mut http = http1::Builder::new();
        let served = http
            .writev(false)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(served);
    }
}

fn subscribe(server: &Server, request: &Request<Incoming>) -> Response<Reader> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let topic = server.topic(name);
    let read = lock(&topic).published;
    let mut response = Response::new(Reader { topic, read });
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
