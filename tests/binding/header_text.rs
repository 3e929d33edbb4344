//! Text in the bytes of a header. UTF-8 is accepted, and only values that are not UTF-8 are dropped.

use axum_core::body::Body;
use helios::prelude::*;
use http::Request;
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;

/// An alias or a newtype of `Option` handles absence as `Option` does.
type Seen = Option<u64>;

#[derive(Deserialize, Debug)]
struct Last(Option<u64>);

#[derive(Injectable)]
struct Texts;

#[controller(prefix = "texts")]
impl Texts {
    #[get("cookie")]
    fn cookie(&self, #[cookie] session: Option<String>, #[req] request: &RequestContext) -> String {
        format!("{session:?} {:?}", request.cookie("session"))
    }

    #[get("cookie/number")]
    fn cookie_number(&self, #[cookie] session: u32) -> String {
        session.to_string()
    }

    #[get("cookie/all")]
    fn all_cookies(&self, #[cookie] session: Vec<String>) -> String {
        format!("{session:?}")
    }

    #[get("cookie/host")]
    fn host_cookie(&self, #[cookie("__Host-id")] id: Option<String>) -> String {
        format!("{id:?}")
    }

    #[get("header")]
    fn header(&self, #[header] x_name: Option<String>, #[req] request: &RequestContext) -> String {
        format!("{x_name:?} {:?}", request.header("x-name"))
    }

    #[get("header/all")]
    fn all_headers(&self, #[header] x_name: Vec<String>) -> String {
        format!("{x_name:?}")
    }

    #[get("header/required")]
    fn required_header(&self, #[header] x_name: String) -> String {
        x_name
    }

    #[post("body")]
    fn body(&self, #[body] number: u32) -> String {
        number.to_string()
    }

    #[get("id")]
    fn id(&self, #[req] request: &RequestContext) -> String {
        format!("{:?}", request.last_event_id())
    }

    #[get("id/option")]
    fn id_option(&self, #[header("last-event-id")] last: Option<u64>) -> String {
        format!("{last:?}")
    }

    #[get("id/alias")]
    fn id_alias(&self, #[header("last-event-id")] last: Seen) -> String {
        format!("{last:?}")
    }

    #[get("id/newtype")]
    fn id_newtype(&self, #[header("last-event-id")] last: Last) -> String {
        format!("{:?}", last.0)
    }

    #[get("id/own_name")]
    fn id_own_name(&self, #[header] last_event_id: Seen) -> String {
        format!("{last_event_id:?}")
    }

    #[get("id/default")]
    fn id_default(&self, #[header("last-event-id", default = 7)] last: u64) -> String {
        format!("{last:?}")
    }

    #[get("id/required")]
    fn id_required(&self, #[header("last-event-id")] last: u64) -> String {
        format!("{last:?}")
    }

    #[sse("names")]
    fn names(
        &self,
        #[header("last-event-id")] last: Option<String>,
    ) -> impl Stream<Item = SseEvent> {
        const NAMES: [&str; 4] = ["ana", "björn", "çelik", "dora"];
        let seen = last.and_then(|last| NAMES.iter().position(|name| *name == last));
        stream! {
            for name in &NAMES[seen.map_or(0, |seen| seen + 1)..] {
                yield SseEvent::text(*name).id(name);
            }
        }
    }
}

#[server(controllers = [Texts], sse(enabled = true))]
struct App;

/// Sends a request with any header bytes, and returns the status and the body.
async fn ask(request: http::request::Builder, body: &'static str) -> (u16, String) {
    let request = request.body(Body::from(body)).unwrap();
    let service = Helios::new(App).into_service().unwrap();
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Returns the body of a successful response.
async fn get(path: &str, headers: &[(&str, &[u8])]) -> String {
    let mut request = Request::get(format!("/texts/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, body) = ask(request, "").await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn a_cookie_that_is_no_text_costs_no_other_cookie() {
    let both = r#"Some("abc") Some("abc")"#;
    for value in [
        "session=abc; city=Zürich".as_bytes(),
        b"city=\xff; session=abc",
        b"session=abc; \xff=1",
        b"session=\xff; session=abc",
        b"session=%ff; session=abc",
        b"broken; ; =; session=abc",
    ] {
        assert_eq!(get("cookie", &[("cookie", value)]).await, both, "{value:?}");
    }
    let headers: [(&str, &[u8]); 2] = [("cookie", b"\xff"), ("cookie", b"session=abc")];
    assert_eq!(get("cookie", &headers).await, both);
}

#[tokio::test]
async fn the_value_of_a_cookie_is_read_as_it_is() {
    for (value, read) in [
        ("session=Jürg", "Jürg"),
        ("session=J%C3%BCrg", "Jürg"),
        ("session=", ""),
        ("session=a=b==", "a=b=="),
        ("session=\"a b\"", "\"a b\""),
        (" session = a b \t", "a b"),
        ("session=%zz", "%zz"),
    ] {
        let seen = get("cookie", &[("cookie", value.as_bytes())]).await;
        assert_eq!(seen, format!("Some({read:?}) Some({read:?})"), "{value:?}");
    }
}

#[tokio::test]
async fn of_two_cookies_one_counts_and_a_vec_has_both() {
    let two: [(&str, &[u8]); 1] = [("cookie", b"session=1; session=2")];
    assert_eq!(get("cookie", &two).await, r#"Some("1") Some("1")"#);
    assert_eq!(get("cookie/number", &two).await, "1");
    assert_eq!(get("cookie/all", &two).await, r#"["1", "2"]"#);
    let headers: [(&str, &[u8]); 2] = [("cookie", b"session=1"), ("cookie", b"session=2")];
    assert_eq!(get("cookie/number", &headers).await, "1");
}

/// Any page of the site can set other cookies, but browsers protect this name.
#[tokio::test]
async fn no_other_name_passes_for_that_of_a_host_cookie() {
    for value in [
        "%5F_Host-id=forged",
        "\u{a0}__Host-id=forged",
        "\u{2003}__Host-id=forged",
        "__Host-id\u{2003}=forged",
        "__host-id=forged",
    ] {
        let headers = [("cookie", value.as_bytes())];
        assert_eq!(get("cookie/host", &headers).await, "None", "{value:?}");
    }
}

#[tokio::test]
async fn an_argument_and_a_guard_read_the_same_header_text() {
    let name = "x-name";
    let juerg = r#"Some("Jürg") Some("Jürg")"#;
    assert_eq!(get("header", &[(name, "Jürg".as_bytes())]).await, juerg);
    assert_eq!(get("header", &[(name, b"\xff")]).await, "None None");
    let two: [(&str, &[u8]); 2] = [(name, b"J\xfcrg"), (name, b"J\xc3\xbcrg")];
    assert_eq!(get("header", &two).await, juerg);
    assert_eq!(get("header/all", &two).await, r#"["Jürg"]"#);
    let request = Request::get("/texts/header/required").header(name, &b"J\xfcrg"[..]);
    assert_eq!(ask(request, "").await.0, 400);
}

#[tokio::test]
async fn a_content_type_is_read_despite_a_broken_parameter() {
    for (value, status) in [
        (&b"application/json; title=\xff"[..], 200),
        ("application/json; title=ü".as_bytes(), 200),
        (b"\xff; application/json", 415),
        ("application/json\u{a0}".as_bytes(), 415),
    ] {
        let request = Request::post("/texts/body").header("content-type", value);
        assert_eq!(ask(request, "7").await.0, status, "{value:?}");
    }
}

#[tokio::test]
async fn a_client_can_resume_after_a_non_ascii_id() {
    let names = get("names", &[("last-event-id", "björn".as_bytes())]).await;
    assert!(!names.contains("data: björn"), "{names}");
    assert!(names.contains("data: çelik"), "{names}");
    let names = get("names", &[("last-event-id", b"bj\xf6rn")]).await;
    assert!(names.contains("data: ana"), "{names}");
}

#[tokio::test]
async fn an_id_that_no_event_can_have_is_ignored() {
    assert_eq!(
        get("id?lastEventId=bj%C3%B6rn", &[]).await,
        r#"Some("björn")"#
    );
    for id in ["", "a%00", "%0Aid:%209", "a%0Db", &"a".repeat(1_025)] {
        assert_eq!(get(&format!("id?lastEventId={id}"), &[]).await, "None");
    }
    let headers: [(&str, &[u8]); 2] = [("last-event-id", b"\xff"), ("last-event-id", b"7")];
    assert_eq!(get("id", &headers).await, r#"Some("7")"#);
}

#[tokio::test]
async fn optional_types_of_all_kinds_read_an_id_leniently() {
    for (path, absent) in [
        ("id/option", "None"),
        ("id/alias", "None"),
        ("id/newtype", "None"),
        ("id/own_name", "None"),
        ("id/default", "7"),
    ] {
        for id in ["abc", "", "helios:end", "-1"] {
            let read = get(path, &[("last-event-id", id.as_bytes())]).await;
            assert_eq!(read, absent, "{path} {id:?}");
        }
        let read = get(path, &[("last-event-id", b"4")]).await;
        assert!(read.contains('4'), "{path}: {read}");
    }
}

#[tokio::test]
async fn a_type_that_requires_an_id_refuses_requests_without_one() {
    assert_eq!(get("id/required", &[("last-event-id", b"4")]).await, "4");
    assert_eq!(get("id/required?lastEventId=4", &[]).await, "4");
    for id in ["abc", "", "helios:end"] {
        let request = Request::get("/texts/id/required").header("last-event-id", id);
        assert_eq!(ask(request, "").await.0, 400, "{id:?}");
    }
}
