//! Methods that return a stream or a response, and plain handlers that return a stream.

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use helios::testing::{TestApp, TestResponse};
use http::{HeaderName, HeaderValue, Method};
use support::TestServer;
use support::journal::Journal;

#[derive(Injectable)]
struct SaysSo;

impl Filter for SaysSo {
    type Error = HttpError;

    async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
        Ok((error.status(), format!("filtered: {}", error.detail())).into_response())
    }
}

fn accepted(res: &mut ResponseHead) {
    res.set_status(StatusCode::ACCEPTED);
    res.set_header(
        HeaderName::from_static("x-set"),
        HeaderValue::from_static("1"),
    );
}

#[derive(Injectable)]
struct Either {
    journal: Arc<Journal>,
    sse: SseService,
}

#[controller(
    filters = [SaysSo],
    interceptor = |data, req, _res| json!({ "data": data, "at": req.route() }),
)]
impl Either {
    #[sse("generator", method = "POST")]
    #[header("x-fixed", "1")]
    async fn generator(
        &self,
        #[body] answers: String,
        #[res] res: &mut ResponseHead,
    ) -> Result<SseReply<impl Stream<Item = Result<SseEvent, HttpError>>>, HttpError> {
        accepted(res);
        match answers.as_str() {
            "json" => return Ok(SseReply::response(Json(7))),
            "text" => return Ok(SseReply::response("seven")),
            "error" => return Ok(SseReply::response(HttpError::conflict("in a response"))),
            "err" => return Err(HttpError::conflict("in a result")),
            _ => {}
        }
        Ok(SseReply::Stream(try_stream! {
            yield SseEvent::json(7);
            std::future::pending::<()>().await;
        }))
    }

    #[sse("handle/{answers}")]
    fn handle(
        &self,
        #[param] answers: &str,
        #[res] res: &mut ResponseHead,
    ) -> Option<SseReply<SseStream>> {
        accepted(res);
        match answers {
            "json" => Some(SseReply::response(Json(7))),
            "none" => None,
            "another" => Some(SseReply::Stream(self.sse.clients().remove(0))),
            _ => Some(SseReply::Stream(self.sse.create_connection())),
        }
    }

    #[sse("producer/{answers}")]
    async fn producer(
        &self,
        #[param] answers: String,
        stream: SseStream,
        #[res] res: &mut ResponseHead,
    ) -> SseReply<()> {
        accepted(res);
        match answers.as_str() {
            "json" => return SseReply::response(Json(7)),
            "late" => stream.send_data(7).await.unwrap(),
            "opened" => stream.open(),
            _ => {
                stream.send_data(7).await.unwrap();
                return SseReply::Stream(());
            }
        }
        SseReply::response("too late")
    }

    #[sse("may-fail/{status}")]
    async fn may_fail(
        &self,
        #[param] status: u16,
        stream: SseStream,
    ) -> Result<SseReply<()>, HttpError> {
        match status {
            200 => Ok(SseReply::response("well")),
            409 => Err(HttpError::conflict("in a result")),
            410 => Ok(SseReply::response(HttpError::gone("in a response"))),
            _ => {
                stream.send("sent").await?;
                Ok(SseReply::Stream(()))
            }
        }
    }

    #[get("plain")]
    async fn plain(&self, head: http::request::Parts) -> Result<Response, SseError> {
        let client = self.sse.subscribe(["news"]).await?;
        let journal = Journal::clone(&self.journal);
        client.on_close(move |reason| journal.note(format!("plain: {reason}")));
        Ok(self.sse.respond(head, client).await)
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(format!("closed: {reason}"));
    }
}

#[server(controllers = [Either], sse(enabled = true))]
struct App;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

fn is_treated_as_a_plain_one(response: &TestResponse, route: &str) {
    assert_eq!(response.status(), 202);
    assert_eq!(response.header("x-set"), "1");
    assert_eq!(response.header("content-type"), "application/json");
    let data: serde_json::Value = response.json();
    assert_eq!(data, json!({ "data": 7, "at": route }));
}

#[tokio::test]
async fn a_response_passes_interceptors_and_has_its_head() {
    let (app, journal) = app();
    let app = TestApp::start(app).unwrap();
    let answer = app.post("/generator").json(&"json").await;
    assert_eq!(answer.header("x-fixed"), "1");
    is_treated_as_a_plain_one(&answer, "/generator");
    is_treated_as_a_plain_one(&app.get("/handle/json").await, "/handle/{answers}");
    assert!(journal.notes().is_empty(), "nothing was attached");
    is_treated_as_a_plain_one(&app.get("/producer/json").await, "/producer/{answers}");
    journal.wait_for("closed: completed").await;
    let text = app.post("/generator").json(&"text").await;
    assert_eq!(
        (text.status().as_u16(), text.text().as_str()),
        (202, "seven")
    );
    assert_eq!(app.get("/may-fail/200").await.text(), "well");
}

#[tokio::test]
async fn an_error_in_response_or_result_passes_the_filters() {
    let (app, _) = app();
    let app = TestApp::start(app).unwrap();
    for (answers, detail) in [("error", "in a response"), ("err", "in a result")] {
        let failed = app.post("/generator").json(&answers).await;
        assert_eq!(failed.status(), 409);
        assert_eq!(failed.text(), format!("filtered: {detail}"));
    }
    assert_eq!(app.get("/handle/none").await.status(), 404);
    assert_eq!(
        app.get("/may-fail/409").await.text(),
        "filtered: in a result"
    );
    assert_eq!(
        app.get("/may-fail/410").await.text(),
        "filtered: in a response"
    );
}

#[tokio::test]
async fn the_stream_is_as_on_any_other_route() {
    let (app, _) = app();
    let app = TestApp::start(app).unwrap();
    let mut generator = app.sse("/generator").post_json(&"stream").await;
    assert_eq!(generator.headers()["x-set"], "1");
    let data = generator.next().await.unwrap().data;
    assert_eq!(data, r#"{"at":"/generator","data":7}"#);
    let producer = app.sse("/producer/stream").await.rest().await;
    assert_eq!(producer[1].event, "helios:end");
    let mut handle = app.sse("/handle/stream").await;
    app.sse_service().broadcast("to all").await.unwrap();
    assert_eq!(handle.next().await.unwrap().data, "to all");
}

#[tokio::test]
async fn a_response_after_the_first_event_is_a_failure() {
    let (app, journal) = app();
    let app = TestApp::start(app).unwrap();
    for (path, events) in [("/producer/late", 2), ("/producer/opened", 1)] {
        let told = app.sse(path).await.rest().await;
        assert_eq!(told.len(), events, "{path}");
        let last = told.last().unwrap();
        assert_eq!(last.event, "error", "{path}");
        assert!(!last.data.contains("too late"), "{path}");
    }
    journal.wait_for("closed: error").await;
}

#[tokio::test]
async fn only_a_stream_counts_against_the_limit_of_connections() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.connections.total = 1);
    let app = TestApp::start(app).unwrap();
    let first = app.sse("/handle/stream").await;
    for path in ["/handle/json", "/handle/none"] {
        assert_ne!(app.get(path).await.status(), 200, "{path}");
    }
    is_treated_as_a_plain_one(&app.get("/handle/json").await, "/handle/{answers}");
    let json = app.post("/generator").json(&"json").await;
    is_treated_as_a_plain_one(&json, "/generator");
    // A POST opens a plain stream, so it gets a status.
    assert_eq!(app.post("/generator").json(&"stream").await.status(), 503);
    for path in ["/handle/stream", "/producer/json", "/plain"] {
        let refused = app.sse(path).await.rest().await;
        assert_eq!(refused[0].event, "helios:overloaded", "{path}");
    }
    assert_eq!(app.sse_service().stats().connections, 1);
    drop(first);
    let mut second = app.sse("/generator").post_json(&"stream").await;
    assert_eq!(second.next().await.unwrap().event, "message");
    let refused = app.sse("/handle/stream").await.rest().await;
    assert_eq!(
        refused[0].event, "helios:overloaded",
        "the seat was taken late"
    );
}

#[tokio::test]
async fn a_live_stream_outlives_a_request_for_it_without_room() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.connections.total = 1);
    let app = TestApp::start(app).unwrap();
    let mut first = app.sse("/handle/stream").await;
    let refused = app.sse("/handle/another").await.rest().await;
    assert_eq!(refused[0].event, "helios:overloaded");
    let service = app.sse_service();
    assert_eq!(service.clients().len(), 1);
    service.clients()[0].send("still here").await.unwrap();
    assert!(first.next().await.unwrap().data.contains("still here"));
}

#[tokio::test]
async fn a_plain_handlers_stream_resumes_and_drains() {
    let (app, journal) = app();
    let server = TestServer::start(app).await;
    let mut client = server.sse("/plain").await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    server.sse.publish("news", "one").await.unwrap();
    let one = client.next().await.unwrap();
    assert_eq!(one.data, "one");
    drop(client);
    journal.wait_for("plain: client_disconnected").await;
    server.sse.publish("news", "two").await.unwrap();

    let seen = [("last-event-id", one.id.as_str())];
    let mut client = server.sse_with(Method::GET, "/plain", &seen, "").await;
    assert!(
        client
            .next()
            .await
            .unwrap()
            .data
            .contains(r#""resumed":true"#)
    );
    assert_eq!(client.next().await.unwrap().data, "two");
    let head = server.send(Method::HEAD, "/plain", &[], "").await;
    assert_eq!(head.header("content-type"), "text/event-stream");
    assert_eq!(journal.count("plain: rejected"), 1, "HEAD opens none");

    let (stopped, told) = tokio::join!(server.stop(), client.next());
    stopped.unwrap();
    assert_eq!(told.unwrap().event, "helios:reconnect");
    assert_eq!(journal.count("plain: shutdown"), 1);
}
