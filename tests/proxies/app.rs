//! The app behind the proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::SseOptions;
use helios::http::SameOrigin;
use helios::prelude::*;
use http::Request;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};

use support::journal::Journal;
use support::{SseClient, TestServer, within};

#[derive(Injectable)]
pub(super) struct News {
    journal: Arc<Journal>,
    sse: SseService,
}

#[controller(prefix = "news")]
impl News {
    #[sse]
    async fn news(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["news"]).await
    }

    #[get("page")]
    fn page(&self) -> Response {
        let html = [("content-type", "text/html")];
        (html, include_str!("page.html")).into_response()
    }

    #[get("socket")]
    #[use_guards(SameOrigin)]
    fn socket(&self, upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_)) && socket.send(message).await.is_err() {
                    break;
                }
            }
        })
    }

    /// Records what a page reports.
    #[get("seen")]
    fn seen(&self, #[query] what: String) {
        self.journal.note(what);
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

#[server(controllers = [News], sse(enabled = true))]
struct App;

pub(super) fn app(journal: &Journal) -> Helios {
    Helios::new(App).provide(journal.clone())
}

/// An app that can be restarted at its address.
pub(super) struct Site {
    pub(super) journal: Journal,
    configure: Box<dyn Fn(Helios) -> Helios>,
    server: Option<TestServer>,
    pub(super) addr: SocketAddr,
}

impl Site {
    pub(super) async fn new(options: fn(&mut SseOptions)) -> Self {
        Self::configured(move |app| app.sse_options(options)).await
    }

    pub(super) async fn configured(configure: impl Fn(Helios) -> Helios + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut site = Self {
            journal: Journal::default(),
            configure: Box::new(configure),
            server: None,
            addr: listener.local_addr().unwrap(),
        };
        site.start_on(listener);
        site
    }

    fn start_on(&mut self, listener: TcpListener) {
        let app = (self.configure)(app(&self.journal));
        self.server = Some(TestServer::start_on(app, listener));
    }

    pub(super) async fn start(&mut self) {
        let listener = TcpListener::bind(self.addr).await.unwrap();
        self.start_on(listener);
    }

    pub(super) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
    }

    pub(super) fn server(&self) -> &TestServer {
        self.server.as_ref().unwrap()
    }

    pub(super) async fn publish(&self, text: impl Into<String>) {
        self.send(SseEvent::text(text.into())).await;
    }

    pub(super) async fn send(&self, event: SseEvent) {
        self.server().sse.publish("news", event).await.unwrap();
    }
}

/// Requests the stream from the server at `addr`.
pub(super) async fn ask(addr: SocketAddr, headers: &[(&str, &str)]) -> http::Response<Incoming> {
    ask_from(Ipv4Addr::LOCALHOST.into(), addr, headers).await
}

pub(super) async fn ask_from(
    client: IpAddr,
    addr: SocketAddr,
    headers: &[(&str, &str)],
) -> http::Response<Incoming> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(client, 0)).unwrap();
    let io = TokioIo::new(socket.connect(addr).await.unwrap());
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get("/news").header("host", addr.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    within(sender.send_request(request)).await.unwrap()
}

pub(super) const AS_A_BROWSER: (&str, &str) = ("accept", "text/event-stream");

/// Opens a stream as a browser does. The response must be a 200.
pub(super) async fn open(addr: SocketAddr, headers: &[(&str, &str)]) -> SseClient {
    let headers = [&[AS_A_BROWSER], headers].concat();
    let response = ask(addr, &headers).await;
    assert_eq!(response.status(), 200);
    SseClient::of(response)
}

/// Opens a stream that has joined.
pub(super) async fn join(addr: SocketAddr) -> SseClient {
    let mut client = open(addr, &[]).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    client
}
