//! Every kind of reply has what was set on it, and the usual ones take one line of code.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::prelude::*;
use helios::testing::{TestApp, TestResponse};
use http::{HeaderName, HeaderValue, header};
use support::TestServer;

fn set(res: &mut ResponseHead) {
    let value = HeaderValue::from_static;
    res.set_header(HeaderName::from_static("x-set"), value("1"));
    res.append_header(header::VARY, value("a"));
    res.append_header(header::VARY, value("b"));
    res.set_cookie(Cookie::new("set", 1));
}

#[derive(Injectable)]
struct Kinds {
    sse: SseService,
}

#[controller]
impl Kinds {
    #[get("nothing")]
    fn nothing(&self, #[res] res: &mut ResponseHead) {
        set(res);
    }

    #[get("no-content")]
    fn no_content(&self, #[res] res: &mut ResponseHead) -> StatusCode {
        set(res);
        StatusCode::NO_CONTENT
    }

    #[get("text")]
    fn text(&self, #[res] res: &mut ResponseHead) -> &str {
        set(res);
        "text"
    }

    #[get("csv")]
    fn csv(&self, #[res] res: &mut ResponseHead) -> impl IntoResponse {
        set(res);
        ([("content-type", "text/csv")], "a,b")
    }

    #[get("json")]
    fn json(&self, #[res] res: &mut ResponseHead) -> Vec<u32> {
        set(res);
        vec![7]
    }

    #[get("page")]
    fn page(&self, #[res] res: &mut ResponseHead) -> Html<&str> {
        set(res);
        Html("<p>")
    }

    #[get("axum-page")]
    fn axum_page(&self, #[res] res: &mut ResponseHead) -> axum::response::Html<&'static str> {
        set(res);
        axum::response::Html("<p>")
    }

    #[post("created")]
    fn created(&self, #[res] res: &mut ResponseHead) -> impl IntoResponse {
        set(res);
        let location = format!("/notes/{}", 7);
        (StatusCode::CREATED, [("location", location)], Json(7))
    }

    #[get("redirect")]
    fn redirect(&self, #[res] res: &mut ResponseHead) -> impl IntoResponse {
        set(res);
        (StatusCode::SEE_OTHER, [("location", "/text")])
    }

    #[get("axum-redirect")]
    fn axum_redirect(&self, #[res] res: &mut ResponseHead) -> Result<impl IntoResponse, HttpError> {
        set(res);
        Ok(axum::response::Redirect::to("/text"))
    }

    #[get("bytes")]
    fn bytes(&self, #[res] res: &mut ResponseHead) -> Option<Bytes> {
        set(res);
        Some(Bytes::from_static(b"\x00"))
    }

    #[get("response")]
    async fn response(&self, #[res] res: &mut ResponseHead) -> Response {
        set(res);
        let mut response = Response::new(Body::from("whole"));
        let own = HeaderValue::from_static("own=1");
        response.headers_mut().insert(header::SET_COOKIE, own);
        response
            .headers_mut()
            .insert(header::VARY, HeaderValue::from_static("own"));
        response
    }

    #[sse("generator")]
    fn generator(&self, #[res] res: &mut ResponseHead) -> impl Stream<Item = SseEvent> + use<> {
        set(res);
        stream! { yield SseEvent::text("1"); }
    }

    #[sse("fallible")]
    fn fallible(
        &self,
        #[res] res: &mut ResponseHead,
    ) -> impl Stream<Item = Result<SseEvent, HttpError>> + use<> {
        set(res);
        try_stream! { yield SseEvent::text("1"); }
    }

    #[sse("producer")]
    async fn producer(
        &self,
        stream: SseStream,
        #[res] res: &mut ResponseHead,
    ) -> Result<(), SseError> {
        set(res);
        stream.send("1").await
    }

    #[sse("handle")]
    async fn handle(&self, #[res] res: &mut ResponseHead) -> Result<SseStream, SseError> {
        set(res);
        self.sse.subscribe(["news"]).await
    }

    #[sse("plain-stream", plain)]
    fn plain_stream(&self, #[res] res: &mut ResponseHead) -> SseReply<SseStream> {
        set(res);
        SseReply::Stream(self.sse.create_connection())
    }

    #[sse("reply")]
    fn reply(&self, #[res] res: &mut ResponseHead) -> SseReply<SseStream> {
        set(res);
        SseReply::response(Html("<p>"))
    }

    #[get("responds")]
    async fn responds(
        &self,
        head: http::request::Parts,
        #[res] res: &mut ResponseHead,
    ) -> Response {
        set(res);
        self.sse.respond(head, self.sse.create_connection()).await
    }
}

#[server(controllers = [Kinds], sse(enabled = true))]
struct App;

const SET: &str = "set=1; Path=/; SameSite=Lax; HttpOnly";

fn has_what_was_set(headers: &http::HeaderMap, kind: &str) {
    let all = |name| headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all(HeaderName::from_static("x-set")), ["1"], "{kind}");
    assert_eq!(all(header::VARY), ["a", "b"], "{kind}");
    let cookies = all(header::SET_COOKIE);
    match kind {
        "response" => assert_eq!(cookies, ["own=1", SET], "its own are kept"),
        _ => assert_eq!(cookies, [SET], "{kind}"),
    }
}

#[tokio::test]
async fn every_kind_of_reply_has_the_headers_that_were_set() {
    let app = TestApp::start(App).unwrap();
    let kinds = [
        ("nothing", 200, ""),
        ("no-content", 204, ""),
        ("text", 200, "text/plain; charset=utf-8"),
        ("csv", 200, "text/csv"),
        ("json", 200, "application/json"),
        ("page", 200, "text/html; charset=utf-8"),
        ("axum-page", 200, "text/html; charset=utf-8"),
        ("created", 201, "application/json"),
        ("redirect", 303, ""),
        ("axum-redirect", 303, ""),
        ("bytes", 200, "application/octet-stream"),
        ("response", 200, ""),
        ("reply", 200, "text/html; charset=utf-8"),
    ];
    for (kind, status, content_type) in kinds {
        let path = format!("/{kind}");
        let answer: TestResponse = match kind {
            "created" => app.post(&path).await,
            _ => app.get(&path).await,
        };
        assert_eq!(answer.status(), status, "{kind}");
        assert_eq!(answer.header("content-type"), content_type, "{kind}");
        has_what_was_set(answer.headers(), kind);
    }
}

#[tokio::test]
async fn the_head_of_every_stream_has_the_headers_set() {
    let app = TestApp::start(App).unwrap();
    for kind in [
        "generator",
        "fallible",
        "producer",
        "handle",
        "plain-stream",
        "responds",
    ] {
        let stream = app.sse(&format!("/{kind}")).await;
        has_what_was_set(stream.headers(), kind);
    }
}

/// On this server the stream's head is written without hyper.
#[tokio::test]
async fn the_headers_that_were_set_are_on_the_wire() {
    let server = TestServer::start(Helios::new(App)).await;
    for kind in ["page", "redirect"] {
        let answer = server.get(&format!("/{kind}")).await;
        has_what_was_set(&answer.headers, kind);
    }
    for kind in ["generator", "handle", "responds"] {
        let stream = server.sse(&format!("/{kind}")).await;
        has_what_was_set(&stream.headers, kind);
    }
}
