//! A panic anywhere is a 500 and one line of log, and harms nothing else.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::panic_any;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::prelude::*;
use http::Request;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{TestServer, read_to_end, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower::util::{MapRequestLayer, MapResponseLayer};

use super::log::Log;

/// Yields a frame and then panics, or panics when its size is queried.
struct Panics(&'static str);

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 = match self.0 {
            "waits" => "over",
            "over" => panic!("in the \n body"),
            _ => {
                let data = Bytes::from_static(b"data: one\n\n");
                self.0 = "waits";
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        };
        // The frame that was yielded is written meanwhile.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        assert_ne!(self.0, "size", "in the \n size");
        SizeHint::new()
    }
}

/// An error that panics when it is formatted.
#[derive(Debug)]
struct Untold;

impl fmt::Display for Untold {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in the \n text")
    }
}

impl std::error::Error for Untold {}

#[derive(Injectable)]
struct Site;

#[controller(prefix = "site")]
impl Site {
    #[get]
    fn well(&self) -> &'static str {
        "well"
    }

    #[get("handler")]
    fn handler(&self) -> &'static str {
        panic!("in the \n handler")
    }

    #[get("payload")]
    fn payload(&self) -> &'static str {
        panic_any(Box::new(7_u8) as Box<dyn Any + Send>)
    }

    #[get("teapot")]
    fn teapot(&self) -> Result<String, HttpError> {
        Err(HttpError::new(StatusCode::IM_A_TEAPOT, "short and stout"))
    }

    #[get("untold")]
    fn untold(&self) -> Result<String, HttpError> {
        Err(HttpError::internal("it fell").with_source(Untold))
    }

    #[get("body")]
    fn body(&self) -> Response {
        Response::new(Body::new(Panics("")))
    }

    #[sse("stream")]
    fn stream(&self) -> impl Stream<Item = String> {
        stream! {
            if true {
                panic!("in the \n stream");
            }
            yield "never".to_owned();
        }
    }

    #[sse("waits")]
    async fn waits(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
        sse.subscribe(["tea"]).await
    }

    #[sse("late")]
    fn late(&self) -> impl Stream<Item = String> {
        stream! {
            yield "first".to_owned();
            panic!("in the \n stream");
        }
    }
}

#[server(controllers = [Site], sse(enabled = true))]
struct App;

async fn mounted(request: Request<Body>) -> Result<Response, Infallible> {
    let mut response = match request.uri().path() {
        "/handler" => panic!("in the \n mount"),
        "/size" => Response::new(Body::new(Panics("size"))),
        "/well" => "well".into_response(),
        _ => Response::new(Body::new(Panics(""))),
    };
    if request.uri().path() == "/events" {
        let kind = http::HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert("content-type", kind);
    }
    Ok(response)
}

/// Panics before anything is awaited.
fn at_once(_: Request<Body>) -> std::future::Ready<Result<Response, Infallible>> {
    panic!("in the \n mount")
}

fn app() -> Helios {
    let request = MapRequestLayer::new(|request: Request<Body>| {
        assert_ne!(request.uri().path(), "/layer/request", "in the \n layer");
        request
    });
    let response = MapResponseLayer::new(|response: Response| {
        assert_ne!(response.status(), StatusCode::GONE, "in the \n layer");
        response
    });
    Helios::new(App)
        .mount("/mount", tower::service_fn(mounted))
        .mount("/at-once", tower::service_fn(at_once))
        .mount(
            "/gone",
            tower::service_fn(async |_: Request<Body>| {
                Ok::<_, Infallible>(StatusCode::GONE.into_response())
            }),
        )
        .layer(request)
        .layer(response)
}

fn with_format() -> Helios {
    Helios::new(App)
        .mount("/mount", tower::service_fn(mounted))
        .error_format(|error| {
            assert_ne!(error.status(), StatusCode::IM_A_TEAPOT, "in the \n format");
            (error.status(), "as I like it").into_response()
        })
}

const PROBLEM: &str = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;

/// Checks that a panic has one line of log, and that nothing else reports it.
async fn told(log: &Log, text: &str) {
    let line = log.line(" panicked").await;
    assert!(line.contains(&format!("panic=\"{text}")), "{line}");
    assert!(line.contains(" at=\"tests/logging/panics.rs:"), "{line}");
    assert!(line.contains(" backtrace=\""), "{line}");
    assert_eq!(log.lines("ERROR").len(), 1, "{}", log.text());
    assert!(log.lines("WARN").is_empty(), "{}", log.text());
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_stays_open() {
    for (path, text) in [
        ("/site/handler", r"in the \n handler"),
        ("/site/untold", r"in the \n text"),
        ("/site/payload", "no message"),
        ("/site/stream", r"in the \n stream"),
        ("/mount/handler", r"in the \n mount"),
        ("/at-once", r"in the \n mount"),
        ("/layer/request", "assertion"),
        ("/gone", "assertion"),
    ] {
        let log = Log::start();
        let server = TestServer::start(app()).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let last = "GET /site HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut client = server.raw(&request).await;
        client.write_all(last.as_bytes()).await.unwrap();
        let answers = read_to_end(&mut client).await;
        let (first, second) = answers.split_once("HTTP/1.1 200").unwrap();
        assert!(first.starts_with("HTTP/1.1 500"), "{path}: {first}");
        assert!(first.ends_with(PROBLEM), "{path}: {first}");
        assert!(second.ends_with("well"), "{path}: {second}");
        told(&log, text).await;
    }
}

#[tokio::test]
async fn a_panic_beside_the_handler_is_caught_without_layers_too() {
    for (path, text) in [
        ("/site/handler", r"in the \n handler"),
        ("/site/untold", r"in the \n text"),
    ] {
        let log = Log::start();
        let server = TestServer::start(Helios::new(App)).await;
        let answer = server.get(path).await;
        assert_eq!((answer.status, &*answer.text()), (500, PROBLEM));
        told(&log, text).await;
    }
}

#[tokio::test]
async fn a_panicking_error_format_gives_way_to_problem_json() {
    let log = Log::start();
    let server = TestServer::start(with_format()).await;
    let answer = server.get("/site/teapot").await;
    assert_eq!((answer.status, &*answer.text()), (500, PROBLEM));
    told(&log, "assertion").await;
    let answered = log.line("answered").await;
    assert!(
        answered.contains(r#"route="/site/teapot" status=500"#),
        "{answered}"
    );
}

#[tokio::test]
async fn a_panicking_mount_is_answered_in_the_apps_format() {
    let log = Log::start();
    let server = TestServer::start(with_format()).await;
    let answer = server.get("/mount/handler").await;
    assert_eq!((answer.status, &*answer.text()), (500, "as I like it"));
    told(&log, r"in the \n mount").await;
}

#[tokio::test]
async fn a_panicking_body_breaks_off_and_the_server_continues() {
    for (app, path) in [
        (app(), "/site/body"),
        (Helios::new(App), "/site/body"),
        (app(), "/mount/body"),
        (with_format(), "/mount/body"),
        (with_format(), "/mount/events"),
    ] {
        let log = Log::start();
        let server = TestServer::start(app).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let text = read_to_end(&mut server.raw(&request).await).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.ends_with("one\n\n\r\n"), "no last chunk: {text}");
        assert_eq!(server.get("/site").await.text(), "well");
        told(&log, r"in the \n body").await;
    }
}

#[tokio::test]
async fn a_body_that_panics_in_its_size_harms_nothing() {
    let log = Log::start();
    let server =
        TestServer::start(Helios::new(App).mount("/mount", tower::service_fn(mounted))).await;
    let request = "GET /mount/size HTTP/1.1\r\nhost: x\r\n\r\n";
    let text = read_to_end(&mut server.raw(request).await).await;
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    assert!(!log.lines(r"in the \n size").is_empty());
    assert_eq!(server.get("/site").await.text(), "well");
}

async fn http2(server: &TestServer) -> SendRequest<Empty<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn get(
    client: &mut SendRequest<Empty<Bytes>>,
    path: &str,
) -> Result<http::Response<Bytes>, hyper::Error> {
    let request = Request::get(format!("http://x{path}"));
    let request = request.body(Empty::new()).unwrap();
    let (head, body) = within(client.send_request(request)).await?.into_parts();
    let body = within(body.collect()).await?;
    Ok(http::Response::from_parts(head, body.to_bytes()))
}

#[tokio::test]
async fn over_http2_a_panic_resets_only_its_own_stream() {
    for path in [
        "/mount/body",
        "/mount/events",
        "/site/body",
        "/mount/handler",
        "/gone",
    ] {
        let log = Log::start();
        let server = TestServer::start(app()).await;
        let mut client = http2(&server).await;
        let mut other = client.clone();
        let other = tokio::spawn(async move { get(&mut other, "/site/waits").await });
        server.wait_for_connections(1).await;
        match get(&mut client, path).await {
            Ok(response) => assert_eq!(response.status(), 500, "{path}"),
            Err(error) => assert!(format!("{error:?}").contains("Reset"), "{path}: {error:?}"),
        }
        assert_eq!(get(&mut client, "/site").await.unwrap().body(), "well");
        server.sse.finish_with("tea", "last").await.unwrap();
        let other = other.await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(other.body()).contains("last"));
        assert_eq!(log.lines(" panicked").len(), 1, "{path}: {}", log.text());
    }
}

#[tokio::test]
async fn a_panic_of_an_open_stream_logs_its_route() {
    let log = Log::start();
    let server = TestServer::start(app()).await;
    let mut client = server.sse("/site/late").await;
    assert_eq!(client.names().await, ["message", "error"]);
    told(&log, r"in the \n stream").await;
    assert_eq!(log.lines("route=\"/site/late\"").len(), 3, "{}", log.text());
}

#[tokio::test]
async fn a_panicking_layer_of_another_server_is_a_500_too() {
    for path in ["/layer/request", "/gone"] {
        let log = Log::start();
        let request = Request::get(path).body(Body::empty()).unwrap();
        let service = app().into_service().unwrap();
        let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
        assert_eq!(response.status(), 500);
        told(&log, "assertion").await;
    }
}
