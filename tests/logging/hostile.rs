//! Text from a stranger never looks like a line of the log, wherever it appears.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::prelude::*;
use http::Request;
use proptest::prelude::*;
use support::{TestServer, read_to_end};
use tracing_subscriber::filter::LevelFilter;

use super::log::Log;

/// A mark that identifies the text that was sent.
const MARK: &str = "forged";

/// Texts that end a line, move the cursor, reverse text, ring, or are not ASCII.
const TEXTS: [&str; 14] = [
    "\nforged ERROR",
    "\rforged",
    "\r\n2026-01-01T00:00:00.000000Z  INFO forged",
    "\u{1b}[2K\u{1b}[1Aforged",
    "\u{1b}]0;forged\u{7}",
    "\u{9b}31mforged",
    "\u{85}forged",
    "\u{0}forged",
    "\u{b}\u{c}\u{8}forged\u{7f}",
    "\u{2028}forged\u{2029}",
    "\u{202e}forged\u{2066}",
    "forged\" error=\"none",
    "forged é漢😀\u{301}",
    "%0aforged%0d%1b%5b31m",
];

fn failed(text: impl Into<String>) -> HttpError {
    let text = text.into();
    let cause =
        io::Error::other(HttpError::conflict("deeper").with_source(io::Error::other(text.clone())));
    HttpError::internal(text).with_source(cause)
}

#[derive(Injectable)]
struct Hostile;

#[controller(prefix = "hostile", filters = [Answers])]
impl Hostile {
    #[any("fails/{text}")]
    fn fails(&self, #[param] text: String) -> Result<String, HttpError> {
        Err(failed(text))
    }

    #[get("panics/{text}")]
    fn panics(&self, #[param] text: String) -> String {
        panic!("{text}")
    }

    #[get("format/{text}")]
    fn format(&self, #[param] text: String) -> Result<String, HttpError> {
        Err(HttpError::new(StatusCode::IM_A_TEAPOT, text))
    }

    #[get("filter/{text}")]
    fn filter(&self, #[param] text: String) -> Result<String, HttpError> {
        Err(HttpError::gone(text))
    }

    #[get("head")]
    fn head(
        &self,
        #[query] text: Vec<String>,
        #[cookie] crumb: Vec<String>,
        #[header] x_text: Vec<String>,
        #[header("last-event-id")] id: Option<String>,
        #[header] host: Option<String>,
    ) -> Result<String, HttpError> {
        Err(failed(format!(
            "{} {} {} {id:?} {host:?}",
            text.concat(),
            crumb.concat(),
            x_text.concat()
        )))
    }

    #[post("body")]
    fn body(&self, #[body] map: BTreeMap<String, String>) -> Result<String, HttpError> {
        Err(failed(
            map.into_iter()
                .map(|(key, value)| key + &value)
                .collect::<String>(),
        ))
    }

    #[get("publish/{topic}")]
    async fn publish(
        &self,
        #[param] topic: String,
        #[inject_sse] sse: SseService,
    ) -> Result<(), HttpError> {
        let error = sse
            .publish(&topic, SseEvent::text("x").event(topic.clone()))
            .await
            .err();
        Err(error.map_or_else(
            || failed(topic),
            |error| failed(error.to_string()).with_source(error),
        ))
    }

    #[sse("stream/{text}")]
    fn stream(&self, #[param] text: String) -> impl Stream<Item = Result<String, HttpError>> {
        try_stream! {
            yield "first".to_owned();
            Err(failed(text))?;
        }
    }

    #[sse("panicking/{text}")]
    fn panicking(&self, #[param] text: String) -> impl Stream<Item = String> {
        stream! {
            yield "first".to_owned();
            panic!("{text}");
        }
    }

    #[sse("join/{topic}")]
    async fn join(
        &self,
        #[param] topic: String,
        #[inject_sse] sse: SseService,
    ) -> Result<SseStream, HttpError> {
        let stream = sse.subscribe([topic.clone()]).await?;
        stream.close();
        Ok(stream)
    }

    #[on_sse_error]
    fn on_error(&self, error: &SseError) -> Result<(), HttpError> {
        Err(failed(error.to_string()))
    }

    #[on_sse_close]
    fn closed(&self) -> Result<(), HttpError> {
        Err(failed(TEXTS.concat()))
    }
}

/// Replaces one error with another.
#[derive(Injectable)]
struct Answers;

impl Filter for Answers {
    type Error = HttpError;

    async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
        match error.status() {
            StatusCode::IM_A_TEAPOT => Err(error.clone()),
            _ => Err(failed(error.detail().to_owned()).with_source(error.clone())),
        }
    }
}

#[server(controllers = [Hostile], sse(enabled = true))]
struct App;

fn app() -> Helios {
    let mounted = tower::service_fn(
        async |request: Request<Body>| -> Result<Response, Infallible> {
            let path =
                percent_encoding::percent_decode_str(request.uri().path()).decode_utf8_lossy();
            panic!("{path}")
        },
    );
    Helios::new(App)
        .mount("/mount", mounted)
        .error_format(|error| {
            assert_ne!(
                error.status(),
                StatusCode::IM_A_TEAPOT,
                "{}",
                error.detail()
            );
            error.status().into_response()
        })
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Checks that every line begins as the subscriber's do, and that nothing in it acts on a terminal.
fn assert_is_clean(log: &str) {
    for line in log.split_terminator('\n') {
        let (time, rest) = line.split_once("Z ").unwrap_or_default();
        assert!(time.len() == 26 && time.starts_with("20"), "{line:?}");
        let levels = ["ERROR", " WARN", " INFO", "DEBUG", "TRACE"];
        assert!(
            levels.iter().any(|level| rest.starts_with(level)),
            "{line:?}"
        );
        let acts = |letter: char| {
            letter.is_control() || "\u{2028}\u{2029}\u{202e}\u{2066}".contains(letter)
        };
        assert!(!line.contains(acts), "{line:?}");
        assert!(
            line.len() < 64 * 1024,
            "{} bytes: {}",
            line.len(),
            &line[..200]
        );
    }
}

/// Returns requests that put a text in every possible place, except where HTTP itself refuses it.
fn requests(text: &str) -> Vec<String> {
    let path = encoded(text);
    let get = |target: &str, head: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: x\r\n{head}connection: close\r\n\r\n")
    };
    let mut requests: Vec<_> = [
        "fails",
        "panics",
        "format",
        "filter",
        "publish",
        "stream",
        "panicking",
        "join",
    ]
    .iter()
    .map(|route| get(&format!("/hostile/{route}/{path}"), ""))
    .collect();
    let heads = [
        format!("cookie: crumb={path}\r\n"),
        format!("last-event-id: {path}\r\n"),
        format!("x-text: {}\r\n", text.replace(char::is_control, "?")),
    ];
    requests.extend(heads.iter().map(|head| get("/hostile/head", head)));
    requests.push(get(
        &format!("/hostile/head?text={path}&lastEventId={path}"),
        &heads.concat(),
    ));
    requests.push(get(&format!("/mount/{path}"), ""));
    requests.push(get(&format!("/nowhere/{path}?{path}"), ""));
    let host = format!("GET /hostile/head HTTP/1.1\r\nhost: {path}\r\nconnection: close\r\n\r\n");
    requests.push(host);
    let body = json!({ text: text }).to_string();
    let length = body.len();
    requests.push(format!(
        "POST /hostile/body HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    requests
}

#[tokio::test]
async fn no_foreign_text_forges_a_line_or_acts_on_terminals() {
    for text in TEXTS {
        let log = Log::at(LevelFilter::TRACE);
        let server = TestServer::start(app()).await;
        for request in requests(text) {
            let answer = read_to_end(&mut server.raw(&request).await).await;
            assert!(answer.starts_with("HTTP/1.1 "), "{request:?}: {answer}");
        }
        server.stop().await.unwrap();
        let log = log.text();
        assert_is_clean(&log);
        // The text is still in the log, within lines of ours.
        for (line, least) in [
            ("a request failed", 9),
            (" panicked", 4),
            ("an SSE stream failed", 1),
            ("an SSE hook failed", 3),
            ("a filter answered", 1),
        ] {
            let told = log
                .split('\n')
                .filter(|told| told.contains(line) && told.contains(MARK));
            let count = told.count();
            assert!(count >= least, "{count} times {line:?} for {text:?}: {log}");
        }
    }
}

#[tokio::test]
async fn what_is_no_http_forges_no_line_either() {
    let log = Log::at(LevelFilter::TRACE);
    let server = TestServer::start(app()).await;
    for request in [
        "GET /\nforged HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /\u{1b}[2Jforged HTTP/1.1\r\nhost: x\r\n\r\n",
        "FORGED\u{1b} / HTTP/1.1\r\nhost: x\r\n\r\n",
        "forged / HTTP/1.1\r\nhost: forged\u{1b}[1m\r\nconnection: close\r\n\r\n",
        "forged!#$%&'*+-.^_`|~ /hostile/fails/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx-forged: \u{1}\r\n\r\n",
        "GET / HTTP/9.9\nforged\r\n\r\n",
    ] {
        read_to_end(&mut server.raw(request).await).await;
    }
    let long = "m".repeat(8_000);
    let request =
        format!("{long} /hostile/fails/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    read_to_end(&mut server.raw(&request).await).await;
    assert_is_clean(&log.text());
    assert!(!log.text().contains(&long), "a method is bounded");
    assert!(!log.lines("method=mmm").is_empty(), "{}", log.text());
}

#[tokio::test]
async fn the_error_of_a_broken_body_forges_no_line() {
    for text in TEXTS {
        let log = Log::at(LevelFilter::TRACE);
        let broken = tower::service_fn(move |request: Request<Body>| async move {
            let chunks = [Ok(Bytes::from_static(b"data: one\n\n")), Err(failed(text))];
            let mut response = Response::new(Body::from_stream(tokio_stream::iter(chunks)));
            if request.uri().path() == "/events" {
                let kind = http::HeaderValue::from_static("text/event-stream");
                response.headers_mut().insert("content-type", kind);
            }
            Ok::<_, Infallible>(response)
        });
        let server = TestServer::start(app().mount("/broken", broken)).await;
        for (path, line) in [
            ("events", "an event stream broke off"),
            ("bytes", "a connection ended early"),
        ] {
            let request = format!("GET /broken/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
            read_to_end(&mut server.raw(&request).await).await;
            let told = log.lines(line);
            assert!(
                !told.is_empty() && told.iter().any(|told| told.contains(MARK)),
                "{}",
                log.text()
            );
        }
        assert_is_clean(&log.text());
    }
}

#[tokio::test]
async fn what_is_told_of_a_text_is_bounded() {
    let log = Log::start();
    let app = helios::testing::TestApp::start(app()).unwrap();
    let body = json!({ "key": "forged\n".repeat(100_000) });
    assert_eq!(app.post("/hostile/body").json(&body).await.status(), 500);
    let line = log.line("a request failed").await;
    assert!(line.len() < 32 * 1024, "{}", line.len());
    assert!(line.contains('…'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_text_at_all_forges_a_line(text in any::<String>(), marks in prop::collection::vec(0..TEXTS.len(), 0..3)) {
        let marks: String = marks.into_iter().map(|n| TEXTS[n]).collect();
        let text = format!("x{text}{marks}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = Log::at(LevelFilter::TRACE);
            let app = helios::testing::TestApp::start(app()).unwrap();
            for route in ["fails", "panics", "format", "filter", "publish"] {
                app.get(&format!("/hostile/{route}/{}", encoded(&text))).await;
            }
            for route in ["stream", "panicking"] {
                app.sse(&format!("/hostile/{route}/{}", encoded(&text))).await.rest().await;
            }
            app.post("/hostile/body").json(&json!({ text.clone(): text })).await;
            app.service().shutdown(Duration::from_secs(10)).await;
            assert_is_clean(&log.text());
        });
    }
}
