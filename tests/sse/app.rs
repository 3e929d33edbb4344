//! The app for most tests here: a stream of every kind, and hooks that record their arguments.

use helios::prelude::*;
use helios::sse::DecodedEvent;
use support::journal::Journal;
use support::{SseClient, TestServer};

/// Records that it was dropped.
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
pub(super) struct Streams {
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

    #[sse("fails-after-a-moment")]
    fn fails_after_a_moment(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        stream! {
            sleep(Duration::from_millis(100)).await;
            yield Err(HttpError::conflict("not any more"));
        }
    }

    #[sse("finds-nothing")]
    fn finds_nothing(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        try_stream! {
            sleep(Duration::from_millis(100)).await;
            for event in Vec::<SseEvent>::new() {
                yield event;
            }
        }
    }

    #[sse("may-fail")]
    fn may_fail(
        &self,
        stream: SseStream,
        #[query] first: Option<String>,
    ) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        let sse = self.sse.clone();
        try_stream! {
            match first.as_deref() {
                Some("open") => stream.open(),
                Some("sent") => drop(tokio::spawn(async move {
                    sleep(Duration::from_millis(100)).await;
                    sse.send_to_client(stream.id(), "sent").await.unwrap();
                })),
                Some("yield") => yield SseEvent::text("yielded"),
                _ => {}
            }
            std::future::pending::<()>().await;
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

/// Without hooks, and without those of other controllers.
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
pub(super) struct App;

pub(super) fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

pub(super) async fn server() -> (TestServer, Journal) {
    let (app, journal) = app();
    (TestServer::start(app).await, journal)
}

pub(super) async fn end(client: &mut SseClient) -> DecodedEvent {
    let end = client.next().await.unwrap();
    assert_eq!(
        (end.event.as_str(), end.data.as_str(), end.id.as_str()),
        ("helios:end", "", helios::sse::END_MARK)
    );
    assert!(client.next().await.is_none());
    end
}
