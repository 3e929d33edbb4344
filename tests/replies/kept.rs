//! Cookies are kept, and nothing else, if an error replaces the reply that they were set on.

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use helios::testing::{TestApp, TestResponse};
use http::{HeaderName, HeaderValue, header};

fn sign_out(res: &mut ResponseHead) {
    let value = HeaderValue::from_static;
    res.set_status(StatusCode::CREATED);
    res.set_header(header::CONTENT_TYPE, value("text/html"));
    res.set_header(HeaderName::from_static("x-set"), value("1"));
    res.set_cookie(Cookie::removal("session"));
}

/// Handles the errors that are marked for it.
#[derive(Injectable)]
struct Filters;

#[derive(Debug, thiserror::Error, HttpError)]
#[error("to be filtered")]
#[http(status = 409)]
struct ToBeFiltered;

impl Filter for Filters {
    type Error = ToBeFiltered;

    async fn catch(
        &self,
        _: &ToBeFiltered,
        request: &RequestContext,
    ) -> Result<Response, HttpError> {
        match request.header("x-filter") {
            None => Ok((StatusCode::IM_A_TEAPOT, "filtered").into_response()),
            Some(_) => Err(HttpError::gone("another")),
        }
    }
}

/// Fails, or responds itself, after the handler.
#[derive(Injectable)]
struct Interferes;

impl Interceptor for Interferes {
    async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
        let reply = next.run(request).await;
        match request.header("x-interfere") {
            Some("fail") => Err(HttpError::new(StatusCode::BAD_GATEWAY, "")),
            Some("fail to a filter") => Err(ToBeFiltered.into()),
            Some("panic") => panic!("as asked"),
            Some("answer") => reply.or_else(|_| Ok("never mind".into_response())),
            Some("strip") => reply.map(|mut response| {
                response.headers_mut().remove(header::SET_COOKIE);
                response
            }),
            _ => reply,
        }
    }
}

#[derive(Injectable)]
struct Refuses;

impl Guard for Refuses {
    async fn check(&self, _: &mut RequestContext) -> Result<(), HttpError> {
        let removal = Cookie::removal("session").into();
        Err(HttpError::unauthorized("over").with_header(header::SET_COOKIE, removal))
    }
}

#[derive(Injectable)]
struct Session;

#[controller(filters = [Filters], interceptors = [Interferes])]
impl Session {
    #[get("well")]
    fn well(&self, #[res] res: &mut ResponseHead) -> &str {
        sign_out(res);
        "well"
    }

    #[get("err")]
    fn err(&self, #[res] res: &mut ResponseHead) -> Result<(), HttpError> {
        sign_out(res);
        Err(HttpError::service_unavailable(""))
    }

    #[get("filtered")]
    fn filtered(&self, #[res] res: &mut ResponseHead) -> Result<(), ToBeFiltered> {
        sign_out(res);
        Err(ToBeFiltered)
    }

    #[get("none")]
    async fn none(&self, #[res] res: &mut ResponseHead) -> Option<String> {
        sign_out(res);
        None
    }

    #[get("foreign")]
    fn foreign(&self, #[res] res: &mut ResponseHead) -> Result<(), (StatusCode, Json<u32>)> {
        sign_out(res);
        Err((StatusCode::LOCKED, Json(7)))
    }

    #[get("panic")]
    async fn panic(&self, #[res] res: &mut ResponseHead) {
        sign_out(res);
        panic!("as asked");
    }

    #[get("refused")]
    #[use_guards(Refuses)]
    fn refused(&self) {}

    #[get("unbound")]
    fn unbound(&self, #[query] _n: u32, #[res] res: &mut ResponseHead) {
        sign_out(res);
    }

    #[sse("stream/err")]
    fn stream_err(&self, #[res] res: &mut ResponseHead) -> Result<SseStream, HttpError> {
        sign_out(res);
        Err(HttpError::service_unavailable(""))
    }

    #[sse("stream/foreign")]
    fn stream_foreign(
        &self,
        #[res] res: &mut ResponseHead,
    ) -> Result<SseStream, (StatusCode, Json<u32>)> {
        sign_out(res);
        Err((StatusCode::LOCKED, Json(7)))
    }

    #[sse("stream/filtered")]
    async fn stream_filtered(
        &self,
        _stream: SseStream,
        #[res] res: &mut ResponseHead,
    ) -> Result<(), ToBeFiltered> {
        sign_out(res);
        Err(ToBeFiltered)
    }

    #[sse("stream/panic")]
    async fn stream_panic(&self, _stream: SseStream, #[res] res: &mut ResponseHead) {
        sign_out(res);
        panic!("as asked");
    }

    #[sse("stream/refused", plain)]
    fn stream_refused(&self, #[res] res: &mut ResponseHead) -> SseReply<SseStream> {
        sign_out(res);
        SseReply::Stream(SseStream::new())
    }
}

#[server(controllers = [Session], sse(enabled = true))]
struct App;

fn app() -> Helios {
    Helios::new(App)
}

/// Checks that the cookie is sent once, and nothing else that was set.
fn only_the_cookie_is_kept(answer: &TestResponse, status: u16, what: &str) {
    assert_eq!(answer.status(), status, "{what}");
    let cookies: Vec<_> = answer
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .collect();
    let removal = "session=; Path=/; Max-Age=0; SameSite=Lax; HttpOnly";
    assert_eq!(cookies, [removal], "{what}");
    assert_eq!(answer.header("x-set"), "", "{what}");
    assert_ne!(answer.header("content-type"), "text/html", "{what}");
}

#[tokio::test]
async fn a_cookie_is_kept_whatever_error_follows() {
    let app = TestApp::start(app()).unwrap();
    for (path, status) in [
        ("/err", 503),
        ("/filtered", 418),
        ("/none", 404),
        ("/foreign", 423),
        ("/panic", 500),
        ("/refused", 401),
        ("/stream/err", 503),
        ("/stream/foreign", 423),
        ("/stream/filtered", 418),
        ("/stream/panic", 500),
    ] {
        only_the_cookie_is_kept(&app.get(path).await, status, path);
    }
    let filter_fails = app.get("/filtered").header("x-filter", "fail").await;
    only_the_cookie_is_kept(&filter_fails, 410, "the filter fails");
}

#[tokio::test]
async fn a_cookie_survives_an_interceptor_that_fails_or_responds() {
    let app = TestApp::start(app()).unwrap();
    let get = |path, interfere| app.get(path).header("x-interfere", interfere);
    only_the_cookie_is_kept(&get("/well", "fail").await, 502, "fails behind a reply");
    let filtered = get("/well", "fail to a filter").await;
    only_the_cookie_is_kept(&filtered, 418, "fails and is filtered");
    only_the_cookie_is_kept(&get("/well", "panic").await, 500, "panics behind a reply");
    only_the_cookie_is_kept(&get("/err", "answer").await, 200, "answers an error");
    only_the_cookie_is_kept(&get("/stream/err", "answer").await, 200, "of a stream");
    let stripped = get("/well", "strip").await;
    assert_eq!(
        stripped.header("set-cookie"),
        "",
        "it has seen the cookie, and may take it off"
    );
    assert_eq!(
        (stripped.status().as_u16(), stripped.header("x-set")),
        (201, "1")
    );
}

#[tokio::test]
async fn a_cookie_survives_in_the_apps_own_error_format() {
    let app = app().error_format(|error| (error.status(), "own").into_response());
    let app = TestApp::start(app).unwrap();
    for (path, status) in [("/err", 503), ("/panic", 500), ("/stream/err", 503)] {
        let answer = app.get(path).await;
        only_the_cookie_is_kept(&answer, status, path);
        assert_eq!(answer.text(), "own");
    }
}

#[tokio::test]
async fn a_cookie_survives_if_the_stream_is_refused() {
    let app = app().sse_options(|sse| sse.connections.total = 0);
    let app = TestApp::start(app).unwrap();
    only_the_cookie_is_kept(&app.get("/stream/refused").await, 503, "no room");
}

#[tokio::test]
async fn a_request_that_misses_its_handler_gets_no_cookie() {
    let app = TestApp::start(app()).unwrap();
    let unbound = app.get("/unbound").await;
    assert_eq!(
        (unbound.status().as_u16(), unbound.header("set-cookie")),
        (400, "")
    );
}
