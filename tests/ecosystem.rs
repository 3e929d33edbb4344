//! Code of others works unchanged, and none of it harms a stream: Tower layers, static files, axum-core extractors,
//! axum itself, plain hyper, Unix sockets.
#![allow(clippy::unwrap_used)]

mod ecosystem {
    mod standalone;
}

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Extension};
use axum_core::body::Body;
use axum_extra::TypedHeader;
use axum_extra::extract::CookieJar;
use axum_extra::headers::UserAgent;
use bytes::Bytes;
use helios::http::RemoteAddr;
use helios::prelude::*;
use http::Method;
use support::journal::Journal;
use support::{TestServer, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::util::MapRequestLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

#[derive(Clone)]
struct Tenant(&'static str);

#[derive(Injectable)]
struct Things {
    journal: Arc<Journal>,
}

#[controller(prefix = "things")]
impl Things {
    #[get]
    fn large(&self) -> String {
        "compress me ".repeat(1_000)
    }

    #[get("slow")]
    async fn slow(&self) -> &'static str {
        sleep(Duration::from_secs(60)).await;
        "too late"
    }

    #[post("extracted")]
    fn extracted(
        &self,
        agent: Option<TypedHeader<UserAgent>>,
        jar: CookieJar,
        tenant: Option<Extension<Tenant>>,
        body: Bytes,
    ) -> (CookieJar, String) {
        let agent = agent.map_or(String::new(), |agent| agent.0.to_string());
        let cookie = jar
            .get("session")
            .map_or("", |cookie| cookie.value())
            .to_owned();
        let tenant = tenant.map_or("", |Extension(Tenant(name))| name);
        let text = format!("{agent} {cookie} {tenant} {}", body.len());
        (jar.add(("seen", "yes")), text)
    }

    #[get("agent")]
    fn agent(&self, TypedHeader(agent): TypedHeader<UserAgent>) -> String {
        agent.to_string()
    }

    #[sse("ticks")]
    fn ticks(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            for n in 0..3_u32 {
                yield SseEvent::json(n).event("tick");
                sleep(Duration::from_millis(300)).await;
            }
        }
    }

    #[sse("open")]
    fn open(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

#[server(controllers = [Things], sse(enabled = true))]
struct App;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

#[tokio::test]
async fn layers_act_on_plain_routes_and_let_streams_through() {
    let (app, _) = app();
    let app = app
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_millis(200),
        ))
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid));
    let server = TestServer::start(app).await;

    let headers = [("accept-encoding", "gzip"), ("origin", "http://other.test")];
    let large = server.send(Method::GET, "/things", &headers, "").await;
    assert_eq!(large.header("content-encoding"), "gzip");
    assert_eq!(large.header("access-control-allow-origin"), "*");
    assert_eq!(large.header("x-request-id").len(), 36);
    assert_eq!(server.get("/things/slow").await.status, 408);

    let mut client = server
        .sse_with(Method::GET, "/things/ticks", &headers, "")
        .await;
    assert_eq!(client.headers["access-control-allow-origin"], "*");
    assert!(!client.headers.contains_key("content-encoding"));
    for n in 0..3 {
        client.read().await.unwrap();
        let seen = client.text().matches("event: tick").count();
        assert_eq!(
            seen,
            n + 1,
            "each event leaves when it is sent: {}",
            client.text()
        );
    }
    let preflight = [
        ("origin", "http://other.test"),
        ("access-control-request-method", "GET"),
    ];
    let preflight = server
        .send(Method::OPTIONS, "/things/ticks", &preflight, "")
        .await;
    assert_eq!(preflight.header("access-control-allow-methods"), "*");
}

#[tokio::test]
async fn a_layer_that_requires_poll_ready_gets_it() {
    let (app, _) = app();
    let app = app.layer(tower::limit::ConcurrencyLimitLayer::new(1));
    let server = TestServer::start(app).await;
    for _ in 0..3 {
        assert_eq!(server.get("/things").await.status, 200);
    }
}

#[tokio::test]
async fn the_apps_body_limit_also_applies_to_extractors() {
    let (app, _) = app();
    let server = TestServer::start(app.body_limit(4 << 20)).await;
    let body = vec![b'x'; 3 << 20];
    let answer = server
        .send(Method::POST, "/things/extracted", &[], body)
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "   3145728"));
}

#[tokio::test]
async fn static_files_are_served_where_no_route_is() {
    let (app, _) = app();
    let server = TestServer::start(app.mount("/static", ServeDir::new("../examples"))).await;
    let page = server.get("/static/user.html").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html")
    );
    // Refused before any service sees it.
    assert_eq!(server.get("/static/../Cargo.toml").await.status, 400);
    assert_eq!(server.get("/static/none").await.status, 404);
    assert_eq!(server.get("/things").await.status, 200);
}

#[tokio::test]
async fn extractors_of_axum_core_are_arguments_as_they_are() {
    let (app, _) = app();
    let tenant = MapRequestLayer::new(|mut request: http::Request<_>| {
        request.extensions_mut().insert(Tenant("acme"));
        request
    });
    let server = TestServer::start(app.layer(tenant)).await;
    let headers = [("user-agent", "test/1"), ("cookie", "session=s1")];
    let answer = server
        .send(Method::POST, "/things/extracted", &headers, "12345")
        .await;
    assert_eq!(answer.text(), "test/1 s1 acme 5");
    assert_eq!(answer.header("set-cookie"), "seen=yes");
}

#[tokio::test]
async fn a_foreign_rejection_keeps_its_status_and_its_text() {
    let (app, _) = app();
    let server = TestServer::start(app.body_limit(3)).await;
    let missing = server.get("/things/agent").await;
    assert_eq!(missing.status, 400);
    assert!(
        missing.problem()["detail"]
            .as_str()
            .unwrap()
            .contains("user-agent")
    );
    let large = server
        .send(Method::POST, "/things/extracted", &[], "12345")
        .await;
    assert_eq!(large.problem()["status"], 413);
}

#[tokio::test]
async fn mounted_in_axum_routes_streams_and_hooks_work() {
    let (app, journal) = app();
    let sse = app.sse();
    let router = axum::Router::new().nest_service("/api", app.into_service().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(b"GET /api/things/open HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    support::eventually(|| sse.stats().connections == 1).await;
    sse.broadcast(SseEvent::text("hello").event("greeting"))
        .await
        .unwrap();
    let mut seen = String::new();
    while !seen.contains("event: greeting\ndata: hello") {
        let mut buffer = [0; 1_024];
        let read = within(stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    drop(stream);
    journal.wait_for("client_disconnected").await;
    server.abort();
}

/// Returns the client's address, found in every possible way.
#[derive(Injectable)]
struct Who;

impl Guard for Who {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        let seen = Seen(request.remote_addr());
        request.extensions_mut().insert(seen);
        Ok(())
    }
}

/// The address that the guard saw.
#[derive(Clone)]
struct Seen(Option<SocketAddr>);

#[controller(prefix = "who", guards = [Who])]
impl Who {
    #[get]
    fn remote(
        &self,
        #[req] request: &RequestContext,
        addr: Option<RemoteAddr>,
        Extension(Seen(seen)): Extension<Seen>,
    ) -> String {
        assert_eq!(addr.map(|addr| addr.0), request.remote_addr());
        assert_eq!(seen, request.remote_addr());
        seen.map_or("nobody".to_owned(), |addr| addr.to_string())
    }

    #[get("required")]
    fn required(&self, RemoteAddr(addr): RemoteAddr) -> String {
        addr.to_string()
    }

    #[get("axum")]
    fn axum(&self, ConnectInfo(addr): ConnectInfo<SocketAddr>) -> String {
        addr.to_string()
    }
}

#[server(controllers = [Who])]
struct WhoApp;

/// Sends a request over a connection of its own. Returns the text, and whether it is that connection's address.
async fn who(server: SocketAddr, path: &str) -> (String, bool) {
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = support::read_to_end(&mut stream).await;
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    (text.to_owned(), text == own)
}

/// The recipes of the guide.
fn connect_info(mut request: http::Request<Body>) -> http::Request<Body> {
    if let Some(RemoteAddr(addr)) = RemoteAddr::of(request.extensions()) {
        request.extensions_mut().insert(ConnectInfo(addr));
    }
    request
}

fn remote_addr(mut request: http::Request<Body>) -> http::Request<Body> {
    if let Some(&ConnectInfo(addr)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        request.extensions_mut().insert(RemoteAddr(addr));
    }
    request
}

#[tokio::test]
async fn guards_handlers_and_axum_extractors_see_the_peer_address() {
    let app = Helios::new(WhoApp).layer(MapRequestLayer::new(connect_info));
    let server = TestServer::start(app).await;
    for path in ["/who", "/who/required", "/who/axum"] {
        let (text, is_own) = who(server.addr, path).await;
        assert!(is_own, "{path}: {text}");
    }
}

#[tokio::test]
async fn a_layer_can_replace_the_address_for_everybody() {
    let app = Helios::new(WhoApp)
        .layer(MapRequestLayer::new(connect_info))
        .layer(MapRequestLayer::new(|mut request: http::Request<Body>| {
            let real = SocketAddr::from(([192, 0, 2, 1], 9));
            request.extensions_mut().insert(RemoteAddr(real));
            request
        }));
    let server = TestServer::start(app).await;
    for path in ["/who", "/who/required", "/who/axum"] {
        assert_eq!(who(server.addr, path).await.0, "192.0.2.1:9", "{path}");
    }
}

#[tokio::test]
async fn without_a_socket_there_is_no_address() {
    let app = helios::testing::TestApp::start(WhoApp).unwrap();
    assert_eq!(app.get("/who").await.text(), "nobody");
    let required = app.get("/who/required").await;
    assert_eq!(required.status(), 500);
    assert!(
        !required.text().contains("RemoteAddr"),
        "that is for the log"
    );
}

#[tokio::test]
async fn mounted_in_axum_its_connect_info_is_seen() {
    let app = Helios::new(WhoApp).layer(MapRequestLayer::new(remote_addr));
    let router = axum::Router::new().nest_service("/api", app.into_service().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    for path in ["/api/who", "/api/who/required", "/api/who/axum"] {
        let (text, is_own) = who(addr, path).await;
        assert!(is_own, "{path}: {text}");
    }
    server.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_listened_on() {
    let app = Helios::new(WhoApp);
    let folder = std::env::temp_dir().join(format!("helios-unix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let app = app.banner(false).shutdown_on(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(app.listen_on(listener));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nnobody"), "{answer}");
    stop.send(()).unwrap();
    within(server).await.unwrap().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
