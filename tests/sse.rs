//! Streams over a real socket: the four ways to write one, and the life of a connection from its head to its end.
#![allow(clippy::unwrap_used)]

mod sse {
    mod wire;
}

use std::sync::atomic::{AtomicBool, Ordering};

use helios::decode::{Decoded, DecodedEvent};
use helios::prelude::*;
use helios::testing::TestApp;
use http::Method;
use support::journal::Journal;
use support::{SseClient, TestServer, eventually, read_to_end, within};
use tokio::io::AsyncReadExt;

/// Notes that it was dropped.
struct Dropped(Journal, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note(format!("dropped {}", self.1));
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("while it was dropped");
    }
}

#[derive(Injectable)]
struct Streams {
    journal: Arc<Journal>,
    sse: SseService,
}

impl Streams {
    fn dropped(&self, what: &'static str) -> Dropped {
        Dropped(Journal::clone(&self.journal), what)
    }
}

#[controller(prefix = "s", controllers = [Nested])]
impl Streams {
    #[sse("generator")]
    fn generator(
        &self,
        #[header("last-event-id")] last: Option<u64>,
    ) -> impl Stream<Item = SseEvent> {
        stream! {
            for i in last.map_or(0, |n| n.saturating_add(1))..3 {
                yield SseEvent::json(json!({ "count": i })).event("update").id(i);
            }
        }
    }

    #[sse("producer/{count}")]
    async fn producer(&self, #[param] count: u64, stream: SseStream) -> Result<(), HttpError> {
        if count == 0 {
            return Err(HttpError::conflict("nothing to produce"));
        }
        for i in 0..count {
            stream
                .send(SseEvent::text(i.to_string()).event("step"))
                .await?;
        }
        Ok(())
    }

    #[sse("handle")]
    fn handle(&self) -> SseStream {
        let stream = SseStream::new();
        let driver = stream.clone();
        tokio::spawn(async move {
            driver.send("one").await.unwrap();
            driver
                .close_with(SseEvent::text("two").event("last"))
                .unwrap();
        });
        stream
    }

    #[sse("service")]
    async fn service(&self, #[inject_sse] sse: SseService) -> Result<SseStream, HttpError> {
        let client = sse.create_connection();
        assert!(sse.clients().iter().all(|other| other.id() != client.id()));
        sse.send_to_client(client.id(), SseEvent::text("hello").event("welcome"))
            .await?;
        Ok(client)
    }

    #[sse("posted", method = "POST")]
    fn posted(&self, #[body] words: Vec<String>) -> impl Stream<Item = String> {
        stream! {
            for word in words {
                yield word;
            }
        }
    }

    #[sse("forever")]
    fn forever(&self) -> impl Stream<Item = SseEvent> {
        let dropped = self.dropped("forever");
        stream! {
            let _dropped = dropped;
            std::future::pending::<()>().await;
            yield SseEvent::text("never");
        }
    }

    #[sse("flood")]
    fn flood(&self) -> impl Stream<Item = SseEvent> {
        let dropped = self.dropped("flood");
        stream! {
            let _dropped = dropped;
            loop {
                yield SseEvent::text("x".repeat(1_000));
            }
        }
    }

    #[sse("fails-at-once")]
    fn fails_at_once(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        stream! {
            yield Err(HttpError::forbidden("not you"));
        }
    }

    #[sse("fails-in-handler")]
    async fn fails_in_handler(&self) -> Result<SseStream, HttpError> {
        Err(HttpError::not_found("no such stream"))
    }

    #[sse("fails-later")]
    fn fails_later(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        stream! {
            yield Ok(SseEvent::text("first").id(1));
            yield Err(HttpError::internal("the secret is 42").with_source("the secret is 42"));
            yield Ok(SseEvent::text("never"));
        }
    }

    #[sse("fails-with-a-reason")]
    fn fails_with_a_reason(&self) -> impl Stream<Item = Result<&'static str, HttpError>> {
        stream! {
            yield Ok("first");
            yield Err(HttpError::gone("the source has dried up"));
        }
    }

    #[sse("bad-event")]
    fn bad_event(&self, #[query] name: String) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("first");
            yield SseEvent::text("second").event(name);
        }
    }

    #[sse("panics")]
    fn panics(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("first");
            panic!("the secret is 42");
        }
    }

    #[sse("panics-at-once")]
    async fn panics_at_once(&self, _stream: SseStream) {
        panic!("the secret is 42");
    }

    #[sse("restart", restart)]
    fn restarting(&self) -> impl Stream<Item = SseEvent> {
        stream! { yield SseEvent::text("again"); }
    }

    #[sse("closes")]
    async fn closes(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("bye").await?;
        stream.close();
        assert!(matches!(
            stream.send("late").await,
            Err(SseError::Closed(CloseReason::ServerClosed))
        ));
        assert!(stream.is_closed());
        Ok(())
    }

    #[sse("returns-twice")]
    async fn returns_twice(&self) -> SseStream {
        let known = self.sse.clients().into_iter().next();
        known.unwrap_or_default()
    }

    #[sse("opens")]
    async fn opens(&self, stream: SseStream) {
        stream.open();
        std::future::pending::<()>().await;
    }

    #[sse("silent-producer")]
    async fn silent_producer(&self, _stream: SseStream) {
        std::future::pending::<()>().await;
    }

    #[sse("headed")]
    #[header("x-kind", "stream")]
    fn headed(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("fails-twice")]
    fn fails_twice(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        let dropped = PanicsWhenDropped;
        stream! {
            let _dropped = dropped;
            yield Ok(SseEvent::text("first"));
            yield Err(HttpError::internal("x"));
        }
    }

    #[on_sse_connection]
    async fn opened(
        &self,
        client: SseStream,
        #[query] refuse: Option<String>,
        #[req] req: &RequestContext,
    ) -> Result<(), HttpError> {
        self.journal.note(format!("outer opened {}", req.route()));
        self.journal
            .note(format!("last {:?}", client.last_event_id()));
        match refuse.as_deref() {
            Some("outer") => Err(HttpError::forbidden("refused by the outer hook")),
            _ => Ok(()),
        }
    }

    #[on_sse_error]
    async fn failed(&self, client: SseStream, error: &SseError) {
        client
            .try_send(SseEvent::text("sorry").event("apology"))
            .unwrap();
        client.close();
        self.journal.note(format!("outer failed: {error}"));
    }

    #[on_sse_close]
    async fn closed(&self, client: SseStream, reason: CloseReason) {
        assert!(client.is_closed());
        self.journal.note(format!("outer closed: {reason}"));
    }
}

#[derive(Injectable)]
struct Nested {
    journal: Arc<Journal>,
}

#[controller(prefix = "nested")]
impl Nested {
    #[sse]
    fn live(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_connection]
    fn opened(&self, #[query] refuse: Option<String>) -> Result<(), HttpError> {
        self.journal.note("inner opened");
        match refuse.as_deref() {
            Some("inner") => Err(HttpError::conflict("refused by the inner hook")),
            _ => Ok(()),
        }
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(format!("inner closed: {reason}"));
    }
}

/// No hooks, and nobody else's either.
#[derive(Injectable)]
struct Plain;

#[controller(prefix = "plain", interceptor = |data, req, _res| json!({ "data": data, "at": req.route() }))]
impl Plain {
    #[sse]
    async fn live(&self, stream: SseStream, #[res] res: &mut ResponseHead) -> Result<(), SseError> {
        res.set_header(
            http::header::SET_COOKIE,
            http::HeaderValue::from_static("seen=1"),
        );
        res.set_header(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("text/plain"),
        );
        stream.send(SseEvent::json(json!(1))).await?;
        stream.send("text").await?;
        std::future::pending().await
    }
}

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum Progress {
    Started,
    StepDone { step: u32, of: u32 },
    Failed(String),
}

#[derive(Injectable)]
struct Typed;

#[controller(prefix = "typed")]
impl Typed {
    #[sse]
    fn progress(&self) -> impl Stream<Item = Progress> {
        stream! {
            yield Progress::Started;
            yield Progress::StepDone { step: 1, of: 2 };
            yield Progress::Failed("no".into());
        }
    }
}

#[server(controllers = [Streams, Plain, Typed], sse(enabled = true))]
struct App;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

async fn server() -> (TestServer, Journal) {
    let (app, journal) = app();
    (TestServer::start(app).await, journal)
}

async fn end(client: &mut SseClient) -> DecodedEvent {
    let end = client.next().await.unwrap();
    assert_eq!(
        (end.event.as_str(), end.data.as_str(), end.id.as_str()),
        ("helios:end", "", helios::END_MARK)
    );
    assert!(client.next().await.is_none());
    end
}

mod four_ways {
    use super::*;

    #[tokio::test]
    async fn a_generator_is_written_byte_by_byte_as_documented() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/generator").await;
        while client.read().await.is_some() {}
        assert_eq!(
            client.text(),
            ":\nretry: 3000\n\
             event: update\nid: 0\ndata: {\"count\":0}\n\n\
             event: update\nid: 1\ndata: {\"count\":1}\n\n\
             event: update\nid: 2\ndata: {\"count\":2}\n\n\
             event: helios:end\nid: helios:end\ndata: \n\n"
        );
        let headers = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("connection", "keep-alive"),
        ];
        for (name, value) in headers {
            assert_eq!(client.headers[name], value);
        }
    }

    #[tokio::test]
    async fn a_generator_goes_on_after_the_last_event_id_and_ignores_a_bad_one() {
        let (server, _) = server().await;
        for (id, first) in [("1", "2"), ("", "0"), ("garbage", "0")] {
            let headers = [("last-event-id", id)];
            let mut client = server
                .sse_with(Method::GET, "/s/generator", &headers, "")
                .await;
            assert_eq!(client.next().await.unwrap().id, first, "after {id:?}");
        }
        let mut client = server.sse("/s/generator?lastEventId=1").await;
        assert_eq!(client.next().await.unwrap().id, "2");
    }

    #[tokio::test]
    async fn a_producer_sends_and_is_held_back_by_a_full_connection() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/producer/5000").await;
        for i in 0..5_000 {
            assert_eq!(client.next().await.unwrap().data, i.to_string());
        }
        end(&mut client).await;
    }

    #[tokio::test]
    async fn a_handle_is_driven_from_another_task() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/handle").await;
        assert_eq!(client.next().await.unwrap().data, "one");
        let last = client.next().await.unwrap();
        assert_eq!((last.event.as_str(), last.data.as_str()), ("last", "two"));
        end(&mut client).await;
    }

    #[tokio::test]
    async fn the_service_reaches_a_connection_by_its_id_before_and_after_it_is_attached() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/service").await;
        assert_eq!(client.next().await.unwrap().event, "welcome");
        let id = server.sse.clients()[0].id();
        server.sse.send_to_client(id, "again").await.unwrap();
        assert_eq!(client.next().await.unwrap().data, "again");
        drop(client);
        server.wait_for_connections(0).await;
        let gone = server.sse.send_to_client(id, "gone").await;
        assert!(matches!(gone, Err(SseError::NoSuchClient(missing)) if missing == id));
    }

    #[tokio::test]
    async fn a_stream_may_answer_a_post_and_use_its_body() {
        let (server, _) = server().await;
        let headers = [("content-type", "application/json")];
        let mut client = server
            .sse_with(Method::POST, "/s/posted", &headers, r#"["a","b"]"#)
            .await;
        assert_eq!(client.next().await.unwrap().data, "a");
        assert_eq!(client.next().await.unwrap().data, "b");
        end(&mut client).await;
        let bad = server.post("/s/posted", "application/json", "{}").await;
        assert_eq!(bad.problem()["status"], 422);
    }

    #[tokio::test]
    async fn the_variants_of_an_enum_are_named_events() {
        let (server, _) = server().await;
        let mut client = server.sse("/typed").await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let event = client.next().await.unwrap();
            seen.push((event.event, event.data));
        }
        let expected = [
            ("started", "null"),
            ("step-done", r#"{"step":1,"of":2}"#),
            ("failed", r#""no""#),
        ];
        assert_eq!(
            seen,
            expected.map(|(name, data)| (name.to_owned(), data.to_owned()))
        );
    }
}

mod before_the_head {
    use super::*;

    #[tokio::test]
    async fn an_error_is_an_ordinary_response_with_its_status() {
        let (server, journal) = server().await;
        for (path, status) in [
            ("/s/fails-at-once", 403),
            ("/s/fails-in-handler", 404),
            ("/s/producer/0", 409),
            ("/s/producer/x", 400),
            ("/s/panics-at-once", 500),
            ("/s/generator?refuse=outer", 403),
        ] {
            let answer = server.get(path).await;
            assert_eq!(answer.problem()["status"], status, "{path}");
            assert!(!answer.text().contains("secret"));
        }
        assert_eq!(server.sse.stats().connections, 0);
        eventually(|| journal.count("outer closed: error") == 3).await;
        assert_eq!(
            journal.count("outer closed: rejected"),
            0,
            "it never accepted"
        );
    }

    #[tokio::test]
    async fn the_head_of_a_silent_stream_leaves_at_once() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/forever").await;
        client.read().await.unwrap();
        assert_eq!(client.text(), ":\nretry: 3000\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_producer_s_head_leaves_after_a_grace_or_when_it_opens() {
        let (app, _) = app();
        let app = TestApp::start(app).unwrap();
        let start = tokio::time::Instant::now();
        let _opened = app.sse("/s/opens").await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let _silent = app.sse("/s/silent-producer").await;
        assert_eq!(start.elapsed().as_millis() / 10, 25);
    }

    #[tokio::test]
    async fn head_never_calls_the_handler() {
        let (server, journal) = server().await;
        let head = server.send(Method::HEAD, "/s/forever", &[], "").await;
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, "text/event-stream")
        );
        assert!(journal.notes().is_empty());
    }

    #[tokio::test]
    async fn a_second_attach_of_one_handle_is_a_500_and_harms_nobody() {
        let (server, _) = server().await;
        let mut first = server.sse("/s/service").await;
        first.next().await.unwrap();
        assert_eq!(server.get("/s/returns-twice").await.status, 500);
        server.sse.broadcast("still here").await.unwrap();
        assert_eq!(first.next().await.unwrap().data, "still here");
    }

    #[tokio::test]
    async fn a_fixed_header_of_the_route_is_sent() {
        let (server, _) = server().await;
        let client = server.sse("/s/headed").await;
        assert_eq!(client.headers["x-kind"], "stream");
    }

    #[tokio::test]
    async fn a_handler_sets_headers_but_not_the_content_type() {
        let (server, _) = server().await;
        let client = server.sse("/plain").await;
        assert_eq!(client.headers["set-cookie"], "seen=1");
        assert_eq!(client.headers["content-type"], "text/event-stream");
    }
}

mod hooks {
    use super::*;

    #[tokio::test]
    async fn they_run_for_their_own_and_nested_routes_outer_first_and_close_inner_first() {
        let (server, journal) = server().await;
        let client = server.sse("/s/nested").await;
        server.wait_for_connections(1).await;
        drop(client);
        journal.wait_for("outer closed: client_disconnected").await;
        assert_eq!(
            journal.notes(),
            [
                "outer opened /s/nested",
                "last None",
                "inner opened",
                "inner closed: client_disconnected",
                "outer closed: client_disconnected",
            ]
        );
    }

    #[tokio::test]
    async fn they_never_run_for_the_streams_of_others() {
        let (server, journal) = server().await;
        let mut client = server.sse("/plain").await;
        client.next().await.unwrap();
        drop(client);
        server.wait_for_connections(0).await;
        let mut typed = server.sse("/typed").await;
        assert_eq!(typed.names().await.len(), 4);
        assert_eq!(journal.notes(), [""; 0]);
    }

    #[tokio::test]
    async fn a_refusal_of_the_inner_hook_is_told_to_the_outer_as_rejected() {
        let (server, journal) = server().await;
        let answer = server.get("/s/nested?refuse=inner").await;
        assert_eq!(answer.problem()["status"], 409);
        journal.wait_for("outer closed: rejected").await;
        assert_eq!(journal.count("inner closed: rejected"), 0);
        assert!(server.sse.clients().is_empty());
    }

    #[tokio::test]
    async fn arguments_of_a_hook_that_do_not_bind_refuse_the_request() {
        let (server, _) = server().await;
        let answer = server.get("/s/generator?refuse=a&refuse=b").await;
        assert_eq!(answer.problem()["errors"][0]["name"], "refuse");
    }
}

mod close_reasons {
    use super::*;

    async fn closed(journal: &Journal, reason: &str) {
        journal.wait_for(&format!("outer closed: {reason}")).await;
        let closes = journal
            .notes()
            .into_iter()
            .filter(|note| note.starts_with("outer closed"));
        assert_eq!(closes.count(), 1, "exactly once");
    }

    #[tokio::test]
    async fn completed() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/generator").await;
        assert_eq!(client.names().await.len(), 4);
        closed(&journal, "completed").await;
    }

    #[tokio::test]
    async fn closed_by_the_server() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/closes").await;
        assert_eq!(client.names().await, ["message", "helios:end"]);
        closed(&journal, "server_closed").await;
    }

    #[tokio::test]
    async fn a_fin_while_idle() {
        let (server, journal) = server().await;
        let client = server.sse("/s/forever").await;
        server.wait_for_connections(1).await;
        drop(client);
        closed(&journal, "client_disconnected").await;
        journal.wait_for("dropped forever").await;
        assert_eq!(server.sse.stats().connections, 0);
    }

    #[tokio::test]
    async fn a_reset_while_writing() {
        let (server, journal) = server().await;
        let mut stream = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut some = [0; 4_096];
        within(stream.read_exact(&mut some)).await.unwrap();
        // Closing a socket with unread data sends a reset.
        drop(stream);
        closed(&journal, "client_disconnected").await;
        journal.wait_for("dropped flood").await;
    }

    #[tokio::test]
    async fn a_client_that_leaves_before_the_head() {
        let (server, journal) = server().await;
        let stream = server
            .raw("GET /s/silent-producer HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        journal.wait_for("outer opened /s/silent-producer").await;
        drop(stream);
        closed(&journal, "client_disconnected").await;
    }

    #[tokio::test]
    async fn a_panic() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/panics").await;
        assert_eq!(client.next().await.unwrap().data, "first");
        assert_eq!(client.next().await.unwrap().event, "apology");
        let error = client.next().await.unwrap();
        assert_eq!(error.event, "error");
        assert!(!client.text().contains("secret"));
        assert!(client.next().await.is_none());
        closed(&journal, "error").await;
        assert_eq!(journal.count("outer failed: the handler panicked"), 1);
    }

    #[tokio::test]
    async fn a_stream_error_is_told_without_internals_and_without_an_end_mark() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/fails-later").await;
        assert_eq!(client.next().await.unwrap().data, "first");
        assert_eq!(
            client.next().await.unwrap().event,
            "apology",
            "the error hook may still send"
        );
        let error = client.next().await.unwrap();
        assert_eq!((error.event.as_str(), error.id.as_str()), ("error", "1"));
        let problem: serde_json::Value = serde_json::from_str(&error.data).unwrap();
        assert_eq!(
            problem,
            json!({ "type": "about:blank", "title": "Internal Server Error", "status": 500 })
        );
        assert!(client.next().await.is_none());
        closed(&journal, "error").await;
    }

    #[tokio::test]
    async fn a_stream_error_below_500_gives_its_reason() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/fails-with-a-reason").await;
        client.next().await.unwrap();
        client.next().await.unwrap();
        let error = client.next().await.unwrap();
        assert!(
            error.data.contains("the source has dried up"),
            "{}",
            error.data
        );
    }

    #[tokio::test]
    async fn a_panic_while_the_stream_is_dropped_leaks_no_connection() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/fails-twice").await;
        assert_eq!(client.names().await, ["message", "apology", "error"]);
        closed(&journal, "error").await;
        assert_eq!(server.sse.stats().connections, 0);
    }

    #[tokio::test]
    async fn shutdown() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/forever").await;
        client.read().await.unwrap();
        server.stop().await.unwrap();
        let word = client.next().await.unwrap();
        assert_eq!(word.event, "helios:reconnect");
        assert_eq!(word.data, r#"{"reason":"shutdown"}"#);
        assert!(client.text().contains("\nretry: "));
        assert!(client.next().await.is_none());
        assert_eq!(
            journal.count("outer closed: shutdown"),
            1,
            "it ran before `listen` returned"
        );
    }

    #[tokio::test]
    async fn a_slow_client_s_shutdown_is_cut_at_the_deadline() {
        let (app, journal) = app();
        let server = TestServer::start(app.drain_deadline(Duration::from_millis(300))).await;
        let _unread = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.wait_for_connections(1).await;
        server.stop().await.unwrap();
        closed(&journal, "shutdown").await;
    }
}

mod finished {
    use super::*;

    #[tokio::test]
    async fn a_client_that_brings_the_end_mark_back_is_answered_204() {
        let (server, journal) = server().await;
        for path in ["/s/generator", "/s/producer/not-a-number"] {
            let headers = [("last-event-id", helios::END_MARK)];
            let answer = server.send(Method::GET, path, &headers, "").await;
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        }
        assert!(journal.notes().is_empty(), "neither bound nor called");
    }

    #[tokio::test]
    async fn a_restarting_route_has_no_end() {
        let (server, _) = server().await;
        let headers = [("last-event-id", helios::END_MARK)];
        let mut client = server
            .sse_with(Method::GET, "/s/restart", &headers, "")
            .await;
        assert_eq!(client.names().await, ["message"]);
    }

    #[tokio::test]
    async fn reconnect_after_ends_the_connection_but_not_the_stream() {
        let (server, journal) = server().await;
        let mut client = server.sse("/s/service").await;
        client.next().await.unwrap();
        server.sse.clients()[0].reconnect_after(Duration::from_millis(1_500));
        let items = [
            client.next_item().await.unwrap(),
            client.next_item().await.unwrap(),
        ];
        assert_eq!(items[0], Decoded::Retry(Duration::from_millis(1_500)));
        assert!(
            matches!(&items[1], Decoded::Event(event) if event.event == "helios:reconnect" && event.id.is_empty())
        );
        assert!(client.next().await.is_none());
        journal.wait_for("outer closed: server_closed").await;
    }
}

mod handles {
    use super::*;

    #[tokio::test]
    async fn after_the_end_every_method_still_answers() {
        let (server, _) = server().await;
        let client = server.sse("/s/service").await;
        server.wait_for_connections(1).await;
        let handle = server.sse.clients().remove(0);
        drop(client);
        assert_eq!(
            within(handle.closed()).await,
            CloseReason::ClientDisconnected
        );
        assert!(handle.is_closed());
        assert!(matches!(
            handle.try_send("x"),
            Err(SseError::Closed(CloseReason::ClientDisconnected))
        ));
        assert!(matches!(
            handle.send_data(1).await,
            Err(SseError::Closed(_))
        ));
        assert!(matches!(
            handle.send_comment("x").await,
            Err(SseError::Closed(_))
        ));
        handle.open();
        handle.close();
        handle.reconnect_after(Duration::ZERO);
        let late = Arc::new(AtomicBool::new(false));
        let called = Arc::clone(&late);
        handle.on_close(move |reason| {
            called.store(reason == CloseReason::ClientDisconnected, Ordering::Relaxed);
        });
        assert!(late.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_detached_handle_queues_up_to_its_limit_and_tells_when_it_is_discarded() {
        let handle = SseStream::new();
        let journal = Journal::default();
        let note = journal.clone();
        handle.on_close(move |reason| note.note(reason.as_str()));
        for _ in 0..1_000 {
            handle.send("x").await.unwrap();
        }
        assert!(matches!(handle.send("x").await, Err(SseError::Full)));
        let clone = handle.clone();
        drop(handle);
        assert!(journal.notes().is_empty());
        drop(clone);
        assert_eq!(journal.notes(), ["rejected"]);
    }

    #[tokio::test]
    async fn events_that_cannot_be_written_are_errors_where_they_are_sent() {
        let (server, _) = server().await;
        let handle = SseStream::new();
        for bad in [
            SseEvent::text("x").event("a\nevil: 1"),
            SseEvent::text("x").event("a\r"),
            SseEvent::text("x").id("1\nevil: 1"),
            SseEvent::text("x").id("1\0"),
            SseEvent::default(),
        ] {
            assert!(
                matches!(handle.try_send(bad.clone()), Err(SseError::Event(_))),
                "{bad:?}"
            );
            assert!(matches!(
                server.sse.broadcast(bad.clone()).await,
                Err(SseError::Event(_))
            ));
        }
        let large = SseEvent::text("x".repeat(300 * 1024));
        assert!(matches!(
            server.sse.broadcast(large).await,
            Err(SseError::TooLarge { .. })
        ));
        for reserved in [
            SseEvent::text("x").event("helios:end"),
            SseEvent::text("x").id(helios::END_MARK),
        ] {
            assert!(matches!(
                server.sse.broadcast(reserved).await,
                Err(SseError::Reserved(_))
            ));
        }
    }

    #[tokio::test]
    async fn a_name_with_a_newline_from_a_user_ends_the_stream_and_injects_nothing() {
        let (server, _) = server().await;
        for name in ["a%0Ainjected:%201", "a%0D", "a%0D%0Adata:%20evil"] {
            let mut client = server.sse(&format!("/s/bad-event?name={name}")).await;
            assert_eq!(client.names().await, ["message", "apology", "error"]);
            assert!(!client.text().contains("injected") && !client.text().contains("evil"));
        }
        let mut client = server.sse("/s/bad-event?name=a%00b").await;
        assert_eq!(client.names().await, ["message", "a\0b", "helios:end"]);
    }
}

mod service {
    use super::*;

    #[tokio::test]
    async fn a_broadcast_reaches_every_connection_as_it_was_published() {
        let (server, _) = server().await;
        let mut plain = server.sse("/plain").await;
        let mut other = server.sse("/s/forever").await;
        server.wait_for_connections(2).await;
        assert_eq!(
            plain.next().await.unwrap().data,
            r#"{"at":"/plain","data":1}"#
        );
        assert_eq!(
            plain.next().await.unwrap().data,
            r#"{"at":"/plain","data":"text"}"#
        );
        server
            .sse
            .broadcast(SseEvent::json(json!(2)).event("all"))
            .await
            .unwrap();
        for client in [&mut plain, &mut other] {
            let event = client.next().await.unwrap();
            assert_eq!(
                (event.event.as_str(), event.data.as_str()),
                ("all", "2"),
                "interceptors do not see it"
            );
        }
        let stats = server.sse.stats();
        assert_eq!(
            (stats.connections, stats.published, stats.delivered),
            (2, 1, 4)
        );
    }

    #[tokio::test]
    async fn a_broadcast_except_one_and_a_private_event_keep_their_order() {
        let (server, _) = server().await;
        let mut client = server.sse("/s/service").await;
        client.next().await.unwrap();
        let id = server.sse.clients()[0].id();
        server.sse.broadcast("1").await.unwrap();
        server.sse.send_to_client(id, "2").await.unwrap();
        server
            .sse
            .broadcast_except(id, "not for you")
            .await
            .unwrap();
        server.sse.broadcast("3").await.unwrap();
        for expected in ["1", "2", "3"] {
            assert_eq!(client.next().await.unwrap().data, expected);
        }
    }

    #[tokio::test]
    async fn two_apps_in_one_process_do_not_share_connections() {
        let (one, _) = server().await;
        let (two, _) = server().await;
        let _client = one.sse("/s/forever").await;
        one.wait_for_connections(1).await;
        assert!(two.sse.clients().is_empty());
        let id = one.sse.clients()[0].id();
        assert!(two.sse.client(id).is_none());
    }
}

mod options {
    use super::*;

    #[server(controllers = [Streams], sse(enabled = true, keep_alive = "500ms", retry = "2s", welcome = true, control_prefix = "ctl."))]
    struct Tuned;

    #[tokio::test(start_paused = true)]
    async fn a_comment_is_sent_after_silence_and_not_on_a_fixed_beat() {
        let app = Helios::new(Tuned).provide(Journal::default());
        let sse = app.sse();
        let app = TestApp::start(app).unwrap();
        let mut stream = app.sse("/s/service").await;
        while stream.next().await.unwrap().data != "hello" {}
        let start = tokio::time::Instant::now();
        sleep(Duration::from_millis(400)).await;
        sse.broadcast("x").await.unwrap();
        assert_eq!(stream.next().await.unwrap().data, "x");
        assert_eq!(
            stream.next_item().await,
            Some(Decoded::Comment(String::new()))
        );
        let silence = start.elapsed();
        assert!((850..1_100).contains(&silence.as_millis()), "{silence:?}");
        assert_eq!(
            stream.next_item().await,
            Some(Decoded::Comment(String::new()))
        );
    }

    #[tokio::test]
    async fn welcome_retry_and_prefix_are_as_set() {
        let server = TestServer::start(Helios::new(Tuned).provide(Journal::default())).await;
        let mut client = server.sse("/s/closes").await;
        assert_eq!(client.names().await, ["welcome", "message", "ctl.end"]);
        let text = client.text();
        assert!(
            text.starts_with(":\nretry: 2000\nevent: welcome\ndata: {\"uuid\":\""),
            "{text}"
        );
    }
}

mod bounds {
    use super::*;

    #[tokio::test]
    async fn a_generator_waits_for_a_small_backlog() {
        let (app, _) = app();
        let server = TestServer::start(app.sse_options(|sse| sse.backlog.bytes = 50)).await;
        let mut client = server.sse("/s/generator").await;
        assert_eq!(
            client.names().await,
            ["update", "update", "update", "helios:end"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_a_close_is_written_however_much_is_published_after_it() {
        let (app, _) = app();
        let sse = app.sse();
        let app = TestApp::start(app).unwrap();
        let mut stream = app.sse("/s/service").await;
        while stream.next().await.unwrap().data != "hello" {}
        let client = sse.clients().remove(0);
        client.send("last words").await.unwrap();
        client.close();
        for _ in 0..5_000 {
            sse.broadcast("for others").await.unwrap();
        }
        sleep(Duration::from_secs(5)).await;
        let rest: Vec<_> = stream
            .rest()
            .await
            .into_iter()
            .map(|event| event.data)
            .collect();
        assert_eq!(rest, ["last words", ""]);
        assert_eq!(sse.stats().slow_closes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_too_far_behind_is_told_to_come_back() {
        let (app, journal) = app();
        let sse = app.sse();
        let app = TestApp::start(app).unwrap();
        let mut stream = app.sse("/s/service").await;
        while stream.next().await.unwrap().data != "hello" {}
        for _ in 0..5_000 {
            sse.broadcast("much").await.unwrap();
        }
        sleep(Duration::from_secs(2)).await;
        assert_eq!(
            stream.rest().await.last().unwrap().event,
            "helios:reconnect"
        );
        journal.wait_for("outer closed: slow_client").await;
        assert_eq!(sse.stats().slow_closes, 1);
    }

    #[tokio::test]
    async fn options_hold_although_something_was_published_before_the_start() {
        let (app, _) = app();
        app.sse().broadcast("to nobody").await.unwrap();
        let app = app.sse_options(|sse| sse.control_prefix = "early.".into());
        let server = TestServer::start(app).await;
        assert_eq!(
            server.sse("/s/closes").await.names().await,
            ["message", "early.end"]
        );
    }

    #[tokio::test]
    async fn options_with_which_nothing_could_be_sent_are_refused() {
        let change: [fn(&mut helios::SseOptions); 13] = [
            |sse| sse.backlog.events = 0,
            |sse| sse.stuck_after = Duration::ZERO,
            |sse| sse.retry = Duration::MAX,
            |sse| sse.control_prefix = "a\nb".into(),
            |sse| sse.keep_alive = Some(Duration::ZERO),
            |sse| sse.hook_timeout = Duration::ZERO,
            |sse| sse.history_bytes = 0,
            |sse| sse.max_age = Some(Duration::ZERO),
            |sse| sse.max_age = Some(Duration::MAX),
            |sse| sse.closing_grace = Duration::MAX,
            |sse| sse.connections.retry = Duration::MAX,
            |sse| sse.connections.per_second = Some(f64::NAN),
            |sse| sse.connections.per_second = Some(0.0),
        ];
        for change in change {
            let refused = app().0.sse_options(change).into_service();
            assert!(matches!(refused, Err(helios::Error::Setting { .. })));
        }
    }
}

mod hostile_clients {
    use super::*;

    /// Bytes of memory that this process holds.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
    }

    #[tokio::test]
    async fn a_client_that_never_reads_holds_nothing_up_and_little_memory() {
        let (server, journal) = server().await;
        let mut reader = server.sse("/s/forever").await;
        let _unread = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.wait_for_connections(2).await;
        let before = resident();
        for n in 0..2_000 {
            server.sse.broadcast("y".repeat(1_000)).await.unwrap();
            assert_eq!(reader.next().await.unwrap().data.len(), 1_000, "{n}");
        }
        assert!(resident() < before + (32 << 20));
        assert_eq!(
            journal.count("dropped flood"),
            0,
            "the generator waits, it is not polled on"
        );
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_closed_as_slow() {
        let (app, journal) = app();
        let app = app.sse_options(|sse| sse.stuck_after = Duration::from_millis(200));
        let server = TestServer::start(app).await;
        let mut unread = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
        server.wait_for_connections(1).await;
        journal.wait_for("outer closed: slow_client").await;
        journal.wait_for("dropped flood").await;
        assert_eq!(server.sse.stats().slow_closes, 1);
        read_to_end(&mut unread).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_thousand_clients_that_vanish_in_the_middle_of_writes_leave_nothing_behind() {
        let (server, journal) = server().await;
        let mut settled = 0;
        for round in 0..4 {
            let mut clients = Vec::new();
            for n in 0..500 {
                let path = if n % 10 == 0 { "flood" } else { "forever" };
                let request = format!("GET /s/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
                clients.push(server.raw(&request).await);
            }
            server.wait_for_connections(500).await;
            server.sse.broadcast("to all").await.unwrap();
            drop(clients);
            server.wait_for_connections(0).await;
            if round == 0 {
                settled = resident();
            }
        }
        eventually(|| journal.count("outer closed: client_disconnected") == 2_000).await;
        eventually(|| journal.count("dropped flood") == 200).await;
        assert!(server.sse.clients().is_empty());
        assert!(
            resident() < settled + (16 << 20),
            "{} after {settled}",
            resident()
        );
    }
}

/// What a reset hook sends is as if it were part of the reset.
mod snapshots {
    use super::*;

    #[derive(Injectable)]
    struct Room {
        sse: SseService,
    }

    #[controller(prefix = "room")]
    impl Room {
        #[sse]
        async fn enter(&self) -> Result<SseStream, SseError> {
            self.sse.subscribe(["room"]).await
        }

        #[on_sse_reset]
        async fn reset(&self, client: SseStream) -> Result<(), SseError> {
            client.send(SseEvent::text("all").event("snapshot")).await
        }
    }

    #[server(controllers = [Room], sse(enabled = true))]
    struct App;

    /// The client has read this many events when it is cut; it comes back with the last id that it has seen.
    async fn is_reset_again_when_cut_after(events: usize) {
        let app = TestApp::start(App).unwrap();
        let mut last = "1234-9".to_owned(); // of another run
        let mut stream = app.sse("/room").last_event_id(&last).await;
        for _ in 0..events {
            let event = stream.next().await.unwrap();
            if !event.id.is_empty() {
                last = event.id;
            }
        }
        drop(stream);
        let mut stream = app.sse("/room").last_event_id(&last).await;
        app.sse_service().publish("room", "live").await.unwrap();
        let mut names = Vec::new();
        while names.last().is_none_or(|name| name != "message") {
            names.push(stream.next().await.unwrap().event);
        }
        assert!(names.contains(&"snapshot".to_owned()), "{names:?}");
    }

    #[tokio::test]
    async fn a_client_that_is_cut_before_its_reset_is_reset_again() {
        is_reset_again_when_cut_after(1).await;
    }

    #[tokio::test]
    async fn a_client_that_is_cut_before_its_snapshot_is_reset_again() {
        is_reset_again_when_cut_after(2).await;
    }
}
