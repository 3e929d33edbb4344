//! No credentials get into the log, at any level.

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::http::MatchedPath;
use helios::prelude::*;
use http::Request;
use support::{TestServer, read_to_end};
use tower_http::trace::TraceLayer;
use tracing_subscriber::filter::LevelFilter;

use super::log::Log;

const SECRET: &str = "hunter2";

#[derive(Injectable)]
struct Safe;

#[controller(prefix = "safe")]
impl Safe {
    #[any("well/{key}")]
    fn well(&self, #[param] key: String, body: Bytes) -> String {
        format!("{key} {}", body.len())
    }

    #[get("fails/{key}")]
    fn fails(&self, #[param] key: String) -> Result<String, HttpError> {
        Err(HttpError::internal(format!("a key of {} bytes", key.len())))
    }

    #[get("number/{key}")]
    fn number(&self, #[param] key: u64, #[query] ticket: u64) -> String {
        (key + ticket).to_string()
    }

    #[post("body")]
    fn body(&self, #[body] body: serde_json::Value, #[cookie] session: u64) -> String {
        format!("{body} {session}")
    }

    #[get("panics/{key}")]
    fn panics(&self, #[param] key: String) -> String {
        panic!("a key of {} bytes", key.len())
    }

    #[sse("stream/{key}")]
    fn stream(&self, #[param] key: String) -> impl Stream<Item = String> {
        stream! { yield key; }
    }

    #[sse("fails/{key}/late")]
    fn late(&self, #[param] key: String) -> impl Stream<Item = Result<String, HttpError>> {
        try_stream! {
            yield key.clone();
            Err(HttpError::internal(format!("a key of {} bytes", key.len())))?;
        }
    }
}

#[server(controllers = [Safe], sse(enabled = true))]
struct App;

/// Adds the layer from the guide's chapter on serving.
fn traced(app: Helios) -> Helios {
    let trace = TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
        tracing::info_span!("http", method = %request.method(), route = tracing::field::Empty)
    });
    let trace = trace.on_response(
        |response: &Response, latency: Duration, span: &tracing::Span| {
            let route = MatchedPath::of(response.extensions()).map(MatchedPath::as_str);
            span.record("route", route);
            tracing::info!(status = response.status().as_u16(), ?latency, "answered");
        },
    );
    app.layer(trace)
}

fn app() -> Helios {
    let mounted = tower::service_fn(async |_: Request<_>| {
        Ok::<_, std::convert::Infallible>("mounted".into_response())
    });
    Helios::new(App).mount("/mount", mounted)
}

async fn ask_everywhere(app: Helios) -> String {
    let log = Log::at(LevelFilter::TRACE);
    let server = TestServer::start(app).await;
    let secrets = format!(
        "host: x\r\nconnection: close\r\nauthorization: Bearer {SECRET}\r\n\
         cookie: session={SECRET}\r\nx-api-key: {SECRET}\r\nlast-event-id: {SECRET}\r\n\
         referer: http://x/?ticket={SECRET}\r\ncontent-type: application/json\r\n"
    );
    let (body, length) = (format!("{{\"password\":\"{SECRET}\"}}"), SECRET.len() + 15);
    for target in [
        "GET /safe/well/",
        "POST /safe/well/",
        "GET /safe/fails/",
        "GET /safe/number/",
        "POST /safe/body?",
        "GET /safe/panics/",
        "GET /safe/stream/",
        "GET /nowhere/",
        "GET /mount/",
        "PUT /safe/fails/",
        "OPTIONS /safe/fails/",
        "GET /safe/../",
        "HEAD /safe/well/",
    ] {
        let request = format!(
            "{target}{SECRET}?ticket={SECRET}&lastEventId={SECRET} HTTP/1.1\r\n{secrets}content-length: {length}\r\n\r\n{body}"
        );
        let answer = read_to_end(&mut server.raw(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{target}: {answer}");
    }
    let request =
        format!("GET /safe/fails/{SECRET}/late?ticket={SECRET} HTTP/1.1\r\n{secrets}\r\n");
    read_to_end(&mut server.raw(&request).await).await;
    // Not HTTP at all.
    let request = format!("GET /?ticket={SECRET} HTTP/1.1\r\n{secrets}\u{1}\r\n\r\n");
    read_to_end(&mut server.raw(&request).await).await;
    server.stop().await.unwrap();
    log.text()
}

#[tokio::test]
async fn no_ticket_cookie_authorization_or_body_is_ever_logged() {
    let log = ask_everywhere(app()).await;
    assert!(!log.contains(SECRET), "{log}");
    assert!(
        log.contains("a key of 7 bytes") && log.contains("stream closed"),
        "{log}"
    );
}

#[tokio::test]
async fn the_guides_trace_layer_logs_routes_but_no_secrets() {
    let log = ask_everywhere(traced(app())).await;
    assert!(!log.contains(SECRET), "{log}");
    let of_layer = r#"http{method=GET route="/safe/well/{key}"}: "#;
    assert!(log.contains(of_layer), "{log}");
}

#[test]
fn the_guides_trace_layer_is_the_one_tested() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let here = include_str!("secrets.rs");
    let begin = here.find("let trace = TraceLayer").unwrap();
    let end = here[begin..].find("app.layer(trace)").unwrap() + begin;
    let guide = include_str!("../../src/guide/serving.md");
    assert!(squeezed(guide).contains(&squeezed(&here[begin..end])));
}
