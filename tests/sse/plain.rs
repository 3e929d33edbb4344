//! Plain streams. Their clients know no control events, so every loss is a status before the head, or a break-off after
//! it.

use std::io::ErrorKind;
use std::time::SystemTime;

use bytes::Bytes;
use helios::SseOptions;
use helios::axum_core::body::Body;
use helios::axum_core::response::IntoResponse;
use helios::prelude::*;
use helios::sse::SlowClients;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::journal::Journal;
use support::{Answer, SseClient, TestServer, call, eventually, read_to_end, within};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower::ServiceExt;

#[derive(Injectable)]
struct Plain {
    sse: SseService,
    journal: Arc<Journal>,
    go_on: Arc<Notify>,
}

#[controller(prefix = "p")]
impl Plain {
    /// A stream like an LLM's answer.
    #[sse("answer", method = "POST")]
    fn answer(&self) -> impl Stream<Item = SseEvent> {
        let go_on = Arc::clone(&self.go_on);
        stream! {
            yield SseEvent::text("one").event("token");
            go_on.notified().await;
            yield SseEvent::text("two").comment("the last");
        }
    }

    #[sse("silent", method = "POST", keep_alive = "20ms")]
    fn silent(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("handle", plain)]
    fn handle(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("topic", plain)]
    async fn topic(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["t"]).await
    }

    #[sse("job", plain)]
    async fn job(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["job"]).await
    }

    /// Joins after its head was sent.
    #[sse("late", plain)]
    fn late(&self, #[inject_sse] sse: SseService) -> SseStream {
        let stream = sse.create_connection();
        stream.open();
        stream
    }

    #[sse("reconnects", method = "POST", drain = "reconnect")]
    fn reconnects(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("fails", method = "POST")]
    fn fails(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        try_stream! {
            yield SseEvent::text("one");
            Err(HttpError::conflict("no more"))?;
        }
    }

    /// Queries another service before it begins.
    #[sse("asks", method = "POST")]
    async fn asks(&self) -> impl Stream<Item = SseEvent> {
        self.journal.note("asked");
        self.go_on.notified().await;
        stream! { yield SseEvent::text("begun") }
    }

    #[sse("waits", method = "POST", drain = "reconnect", head_after = "1h")]
    fn waits(&self) -> SseStream {
        SseStream::new()
    }

    /// Fails with the error of another stream, which must not count as its own end.
    #[sse("other", plain = false)]
    async fn other(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("begun").await?;
        let other = self.sse.create_connection();
        other.close();
        other.send("too late").await
    }

    /// A generator that finishes when the server shuts down.
    #[sse("watches", drain = "finish", method = "POST", plain = false)]
    fn watches(&self, stream: SseStream) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("one");
            let reason = stream.closing().await;
            yield SseEvent::text(format!("closing: {reason}"));
        }
    }

    #[sse("full", method = "POST", plain = false, retry = "7s", overload = 429)]
    fn full(&self) -> impl Stream<Item = SseEvent> {
        stream! { yield SseEvent::text("one") }
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

#[server(controllers = [Plain], sse(enabled = true, welcome = true))]
struct App;

struct Site {
    server: TestServer,
    journal: Journal,
    go_on: Arc<Notify>,
}

async fn site(change: impl FnOnce(Helios) -> Helios) -> Site {
    let (journal, go_on) = (Journal::default(), Arc::new(Notify::new()));
    let app = Helios::new(App)
        .provide(journal.clone())
        .provide_as(Arc::clone(&go_on));
    let server = TestServer::start(change(app)).await;
    Site {
        server,
        journal,
        go_on,
    }
}

fn post(path: &str, version: &str) -> String {
    format!("POST {path} HTTP/{version}\r\nhost: test\r\ncontent-length: 0\r\n\r\n")
}

impl Site {
    async fn posted(&self, path: &str) -> SseClient {
        self.server.sse_with(Method::POST, path, &[], "").await
    }

    async fn ask(&self, path: &str, last_event_id: &str) -> Answer {
        let headers = [("last-event-id", last_event_id)];
        self.server.send(Method::GET, path, &headers, "").await
    }

    async fn handle(&self) -> SseStream {
        self.server.wait_for_connections(1).await;
        self.server.sse.clients().remove(0)
    }
}

#[tokio::test]
async fn a_post_gets_the_apps_events_and_nothing_else() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/answer").await;
    assert_eq!(client.next().await.unwrap().data, "one");
    // Its reader takes every event for the answer.
    site.server.sse.broadcast("to all").await.unwrap();
    site.go_on.notify_one();
    client.finish().await.unwrap();
    assert_eq!(
        client.text(),
        ":\nevent: token\ndata: one\n\n: the last\ndata: two\n\n"
    );
    eventually(|| site.journal.notes() == ["completed"]).await;
}

#[tokio::test]
async fn comments_keep_a_silent_stream_alive_at_its_pace() {
    let site = site(|app| app.sse_options(|sse| sse.keep_alive = None)).await;
    let mut client = site.posted("/p/silent").await;
    for _ in 0..4 {
        client.read().await.unwrap();
    }
    assert_eq!(client.text().replace(":\n", "").trim(), "");
}

#[tokio::test]
async fn a_route_that_is_not_plain_has_its_own_options() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/full").await;
    assert_eq!(client.names().await, ["welcome", "message", "helios:end"]);
    assert!(client.text().starts_with(":\nretry: 7000\n"));
    let full = self::site(|app| app.sse_options(|sse| sse.connections.total = 0)).await;
    let refused = full.server.post("/p/full", "text/plain", "").await;
    assert_eq!(refused.status, 429);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn the_head_tells_the_position_and_events_have_ids() {
    let site = site(|app| app).await;
    let first = site.server.sse.publish("t", "before").await.unwrap();
    let mut client = site.server.sse("/p/topic").await;
    assert_eq!(client.headers["helios-position"], first.to_string());
    let second = site.server.sse.publish("t", "after").await.unwrap();
    site.server.sse.broadcast("to all").await.unwrap();
    let event = client.next().await.unwrap();
    assert_eq!((event.data, event.id), ("after".into(), second.to_string()));
    assert_eq!(client.next().await.unwrap().data, "to all");
    drop(client);
    let mut back = {
        let headers = [("last-event-id", first.to_string())];
        let headers = headers.each_ref().map(|(name, id)| (*name, id.as_str()));
        site.server
            .sse_with(Method::GET, "/p/topic", &headers, "")
            .await
    };
    assert_eq!(back.headers["helios-position"], first.to_string());
    assert_eq!(back.next().await.unwrap().data, "after");
    assert!(!back.text().contains("helios:"));
}

#[tokio::test]
async fn an_id_beyond_history_is_410_before_the_head() {
    let site = site(|app| app.sse_options(|sse| sse.history.events = 1)).await;
    // The options apply once it responds.
    site.server.get("/").await;
    let first = site.server.sse.publish("t", "1").await.unwrap();
    for n in 2..5 {
        site.server.sse.publish("t", n.to_string()).await.unwrap();
    }
    for id in [first.to_string().as_str(), "made up", "1-1"] {
        let gone = site.ask("/p/topic", id).await;
        assert_eq!(gone.problem()["status"], 410, "{id}");
    }
    eventually(|| site.journal.notes() == ["rejected"; 3]).await;
    assert_eq!(site.server.sse.stats().connections, 0);
}

#[tokio::test]
async fn a_finished_topic_is_a_complete_response_and_then_204() {
    let site = site(|app| app).await;
    let first = site.server.sse.publish("job", "half").await.unwrap();
    let mut early = site.server.sse("/p/job").await;
    let last = site.server.sse.finish_with("job", "done").await.unwrap();
    early.finish().await.unwrap();
    assert_eq!(early.text(), format!(":\nid: {last}\ndata: done\n\n"));
    let mut late = site.server.sse("/p/job").await;
    late.finish().await.unwrap();
    assert_eq!(
        late.text(),
        early.text(),
        "whoever comes later has the last event"
    );
    assert_eq!(site.ask("/p/job", &last.to_string()).await.status, 204);
    let cut = site.ask("/p/job", &first.to_string()).await;
    assert_eq!((cut.status, cut.text()), (200, early.text()));
    let gone = site.ask("/p/job", "made up").await;
    assert_eq!(gone.status, 410);
}

#[tokio::test]
async fn a_topic_that_ends_silently_is_204_for_uptodate_clients() {
    let site = site(|app| app).await;
    let only = site.server.sse.publish("job", "all").await.unwrap();
    site.server.sse.finish("job").await.unwrap();
    // Otherwise it would reconnect for nothing again and again.
    assert_eq!(site.ask("/p/job", &only.to_string()).await.status, 204);
    assert_eq!(site.server.sse.stats().connections, 0);
}

#[tokio::test]
async fn without_room_it_is_503_with_a_retry_time() {
    let site = site(|app| app.sse_options(|sse| sse.connections.total = 0)).await;
    let refused = site.server.post("/p/answer", "text/plain", "").await;
    assert_eq!(refused.status, 503);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((10..=15).contains(&seconds));
    assert!(
        refused.text().contains(r#""status":503"#),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn without_room_the_apps_error_format_answers() {
    let site = site(|app| {
        app.sse_options(|sse| sse.connections.total = 0)
            .error_format(|error| (error.status(), "own format").into_response())
    });
    let refused = site.await.server.post("/p/answer", "text/plain", "").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (503, "own format")
    );
}

#[tokio::test]
async fn without_room_for_a_topic_it_is_503_too() {
    let site = site(|app| app.sse_options(|sse| sse.max_topics = 1)).await;
    site.server.sse.publish("other", "x").await.unwrap();
    let refused = site.server.get("/p/topic").await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
}

/// On a full stream, a control event reports each of these.
#[tokio::test]
async fn whatever_a_control_event_would_tell_is_a_break_off() {
    type End = fn(&SseStream);
    let ends: [(End, &str); 2] = [
        (
            |client| client.reconnect_after(Duration::ZERO),
            "server_closed",
        ),
        (
            |client| client.expire_at(SystemTime::now()),
            "credential_expired",
        ),
    ];
    for (end, reason) in ends {
        let site = site(|app| app).await;
        let mut client = site.server.sse("/p/handle").await;
        let handle = site.handle().await;
        handle.send("one").await.unwrap();
        end(&handle);
        assert!(client.finish().await.is_err(), "{reason}");
        assert_eq!(client.text(), ":\ndata: one\n\n");
        eventually(|| site.journal.notes() == [reason]).await;
    }
}

#[tokio::test]
async fn a_stream_that_its_app_closes_ends_well() {
    let site = site(|app| app).await;
    let mut client = site.server.sse("/p/handle").await;
    site.handle().await.close_with("last").unwrap();
    client.finish().await.unwrap();
    assert_eq!(client.text(), ":\ndata: last\n\n");
}

#[tokio::test]
async fn an_error_after_the_head_breaks_off_without_data() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/fails").await;
    assert!(client.finish().await.is_err());
    assert_eq!(client.text(), ":\ndata: one\n\n");
    eventually(|| site.journal.notes() == ["error"]).await;
}

/// The chunk that would end the response never comes.
#[tokio::test]
async fn http_1_1_is_broken_off_without_the_last_chunk() {
    let site = site(|app| app).await;
    let mut socket = site.server.raw(&post("/p/fails", "1.1")).await;
    let text = read_to_end(&mut socket).await;
    assert!(text.contains("transfer-encoding: chunked"));
    assert!(text.ends_with("data: one\n\n\r\n"), "{text}");
}

/// Its client has only the end of the connection to go by.
#[tokio::test]
async fn http_1_0_is_broken_off_by_a_reset() {
    let site = site(|app| app).await;
    let mut socket = site.server.raw(&post("/p/fails", "1.0")).await;
    let mut text = Vec::new();
    let end = within(socket.read_to_end(&mut text)).await;
    let kind = end.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset));
    let mut complete = site.server.raw(&post("/p/answer", "1.0")).await;
    site.go_on.notify_one();
    within(complete.read_to_end(&mut text)).await.unwrap();
}

/// hyper itself writes the response to a request whose body has not been read.
#[tokio::test]
async fn http_1_0_is_reset_too_with_an_unread_request() {
    let site = site(|app| app).await;
    let request = "POST /p/fails HTTP/1.0\r\nhost: test\r\ncontent-length: 9\r\n\r\nsome";
    let mut socket = site.server.raw(request).await;
    let end = within(socket.read_to_end(&mut Vec::new())).await;
    let kind = end.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn http_2_is_broken_off_by_a_stream_reset() {
    let site = site(|app| app).await;
    let io = TokioIo::new(TcpStream::connect(site.server.addr).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    for path in ["fails", "fails"] {
        let url = format!("http://{}/p/{path}", site.server.addr);
        let request = Request::post(url).body(Empty::<Bytes>::new()).unwrap();
        let response = within(client.send_request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        // The connection stays open.
        assert!(within(response.into_body().collect()).await.is_err());
    }
}

/// Returns what a client reads that stays away while history moves on without it.
async fn read_late(slow_clients: SlowClients, path: &str) -> (String, bool) {
    let app = Helios::new(App)
        .provide(Journal::default())
        .provide_as(Arc::new(Notify::new()))
        .sse_options(|sse| {
            sse.slow_clients = slow_clients;
            sse.history.events = 4;
            sse.backlog.events = 4;
        });
    let sse = app.sse();
    let service = app.into_service().unwrap();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let mut body = service.oneshot(request).await.unwrap().into_body();
    if path == "/p/late" {
        eventually(|| sse.stats().connections == 1).await;
        sse.clients()[0].join("t").await.unwrap();
    }
    for n in 0..50 {
        sse.publish("t", n.to_string()).await.unwrap();
    }
    let mut text = String::new();
    loop {
        match within(body.frame()).await {
            Some(Ok(frame)) => {
                let bytes = frame.into_data().unwrap();
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
            end => return (text, end.is_none()),
        }
    }
}

#[tokio::test]
async fn an_overtaken_client_is_broken_off_and_then_gets_410() {
    for slow_clients in [SlowClients::Disconnect, SlowClients::DropOldest] {
        for path in ["/p/topic", "/p/late"] {
            let (text, ended_well) = read_late(slow_clients, path).await;
            assert_eq!(text, ":\n", "nothing is written behind the hole");
            assert!(!ended_well);
        }
    }
}

#[tokio::test]
async fn an_answer_may_finish_when_the_server_goes_down() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/answer").await;
    assert_eq!(client.next().await.unwrap().data, "one");
    let Site {
        server,
        go_on,
        journal,
    } = site;
    let addr = server.addr;
    let stopped = tokio::spawn(server.stop());
    // The server is shutting down, and accepts no more connections.
    within(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    go_on.notify_one();
    client.finish().await.unwrap();
    assert!(client.text().ends_with("data: two\n\n"));
    stopped.await.unwrap().unwrap();
    assert_eq!(journal.notes(), ["completed"]);
}

#[tokio::test]
async fn a_generator_learns_of_the_end_and_finishes() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/watches").await;
    site.server.wait_for_connections(1).await;
    site.server.stop().await.unwrap();
    let names = client.names().await;
    assert_eq!(names, ["welcome", "message", "message", "helios:end"]);
    assert!(client.text().contains("data: closing: shutdown\n"));
    assert_eq!(site.journal.notes(), ["completed"]);
}

#[tokio::test]
async fn a_topic_that_ends_during_shutdown_ends_its_streams() {
    let site = site(|app| app).await;
    let mut client = site.server.sse("/p/job").await;
    site.server.wait_for_connections(1).await;
    let (sse, addr) = (site.server.sse.clone(), site.server.addr);
    // This must take less time than streams have to finish.
    let stopped = tokio::spawn(site.server.stop());
    within(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    sse.finish_with("job", "done").await.unwrap();
    client.finish().await.unwrap();
    assert!(client.text().ends_with("data: done\n\n"));
    stopped.await.unwrap().unwrap();
    assert_eq!(site.journal.notes(), ["completed"]);
}

#[tokio::test]
async fn a_response_that_is_opening_at_shutdown_may_finish_too() {
    let site = site(|app| app).await;
    let Site {
        server,
        go_on,
        journal,
    } = site;
    let addr = server.addr;
    let asked = tokio::spawn(call(addr, Method::POST, "/p/asks", &[], ""));
    journal.wait_for("asked").await;
    let stopped = tokio::spawn(server.stop());
    within(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    go_on.notify_one();
    let mut client = SseClient::of(asked.await.unwrap());
    client.finish().await.unwrap();
    assert_eq!(client.text(), ":\ndata: begun\n\n");
    stopped.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_without_a_head_is_503_at_shutdown() {
    let site = site(|app| app).await;
    let asked = tokio::spawn(call(site.server.addr, Method::POST, "/p/waits", &[], ""));
    site.server.wait_for_connections(1).await;
    site.server.stop().await.unwrap();
    let answer = asked.await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(site.journal.notes(), ["shutdown"]);
}

#[tokio::test]
async fn an_expired_credential_ends_a_finishing_response() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/silent").await;
    let handle = site.handle().await;
    let addr = site.server.addr;
    let stopped = tokio::spawn(site.server.stop());
    within(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    handle.expire_at(SystemTime::now());
    assert!(client.finish().await.is_err());
    assert_eq!(
        within(handle.closed()).await,
        CloseReason::CredentialExpired
    );
    stopped.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_end_of_another_stream_is_a_failure_here() {
    let site = site(|app| app).await;
    let mut client = site.server.sse("/p/other").await;
    assert_eq!(client.names().await, ["welcome", "message", "error"]);
    eventually(|| site.journal.notes() == ["error"]).await;
}

#[tokio::test]
async fn an_uptodate_client_gets_a_204_despite_later_broadcasts() {
    let site = site(|app| app.sse_options(|sse| sse.history.events = 2)).await;
    site.server.get("/").await;
    let last = site.server.sse.finish_with("job", "done").await.unwrap();
    for n in 0..5 {
        site.server.sse.broadcast(n.to_string()).await.unwrap();
    }
    assert_eq!(site.ask("/p/job", &last.to_string()).await.status, 204);
}

#[tokio::test]
async fn a_response_that_does_not_finish_in_time_breaks_off() {
    let site =
        site(|app| app.sse_options(|sse| sse.finish_within = Some(Duration::from_millis(200))))
            .await;
    let mut client = site.posted("/p/answer").await;
    assert_eq!(client.next().await.unwrap().data, "one");
    site.server.stop().await.unwrap();
    assert!(client.finish().await.is_err());
    assert_eq!(site.journal.notes(), ["shutdown"]);
}

#[tokio::test]
async fn a_stream_that_is_to_reconnect_breaks_off_at_once() {
    let site = site(|app| app).await;
    let mut client = site.posted("/p/reconnects").await;
    site.server.wait_for_connections(1).await;
    // Otherwise the drain would last for as long as a response may take.
    site.server.stop().await.unwrap();
    assert!(client.finish().await.is_err());
    assert_eq!(site.journal.notes(), ["shutdown"]);
}

#[tokio::test]
async fn times_beyond_the_drain_deadline_are_refused_at_start_up() {
    let changes: [fn(&mut SseOptions); 2] = [
        |sse| sse.finish_within = Some(Duration::from_secs(19)),
        |sse| sse.closing_grace = Some(Duration::from_secs(10)),
    ];
    for change in changes {
        let app = Helios::new(App)
            .provide(Journal::default())
            .provide_as(Arc::new(Notify::new()))
            .drain_deadline(Duration::from_secs(20))
            .sse_options(change);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = within(app.banner(false).listen_on(listener)).await;
        assert!(
            matches!(refused, Err(helios::Error::Setting { .. })),
            "{refused:?}"
        );
    }
}
