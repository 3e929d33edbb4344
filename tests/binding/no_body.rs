//! An optional body that is absent is `None`, however its type is spelled.

use axum_core::body::Body;
use bytes::Bytes;
use garde::Validate;
use helios::prelude::*;
use http::Request;
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;

#[derive(Deserialize, Validate, Debug)]
struct Account {
    #[garde(range(max = 9))]
    n: u32,
}

type Maybe = Option<Account>;

#[derive(Deserialize, Debug)]
struct Newtype(Option<Account>);

#[derive(Injectable)]
struct Bodies;

#[controller(prefix = "bodies")]
impl Bodies {
    #[post("option")]
    fn option(&self, #[body] account: Option<Account>) -> String {
        format!("{:?}", account.map(|account| account.n))
    }

    #[post("alias")]
    fn alias(&self, #[body] account: Maybe) -> String {
        format!("{:?}", account.map(|account| account.n))
    }

    #[post("newtype")]
    fn newtype(&self, #[body] account: Newtype) -> String {
        format!("{:?}", account.0.map(|account| account.n))
    }

    #[post("json/inside")]
    fn json_inside(&self, Json(account): Json<Maybe>) -> String {
        format!("{:?}", account.map(|account| account.n))
    }

    #[post("form/inside")]
    fn form_inside(&self, Form(account): Form<Maybe>) -> String {
        format!("{:?}", account.map(|account| account.n))
    }

    #[post("json/outside")]
    fn json_outside(&self, account: Option<Json<Account>>) -> String {
        format!("{:?}", account.map(|account| account.0.n))
    }

    #[post("form/outside")]
    fn form_outside(&self, account: Option<Form<Account>>) -> String {
        format!("{:?}", account.map(|account| account.0.n))
    }

    #[post("list")]
    fn list(&self, #[body] numbers: Vec<u32>) -> String {
        format!("{numbers:?}")
    }
}

#[server(controllers = [Bodies])]
struct App;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Returns a body without a length.
fn pieces(pieces: &'static [&'static str]) -> Body {
    Body::from_stream(stream! {
        for piece in pieces {
            yield Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes()));
        }
    })
}

async fn post(path: &str, media_type: Option<&str>, body: Body) -> (u16, String) {
    let request = Request::post(format!("/bodies/{path}"));
    let request = match media_type {
        Some(media_type) => request.header("content-type", media_type),
        None => request,
    };
    let app = Helios::new(App).into_service().unwrap();
    let response = app.oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

const OPTIONAL: &[&str] = &[
    "option",
    "alias",
    "newtype",
    "json/inside",
    "form/inside",
    "json/outside",
    "form/outside",
];

#[tokio::test]
async fn an_optional_body_that_is_not_there_is_none() {
    for path in OPTIONAL {
        for media_type in [None, Some(JSON), Some(FORM), Some("text/csv")] {
            for body in [
                Body::empty(),
                Body::from(""),
                pieces(&[]),
                pieces(&["", ""]),
            ] {
                let answer = post(path, media_type, body).await;
                assert_eq!(answer, (200, "None".to_owned()), "{path} {media_type:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_optional_body_that_is_present_is_read_like_others() {
    for path in OPTIONAL {
        let (media_type, body) = match path.starts_with("form") {
            true => (FORM, "n=7"),
            false => (JSON, r#"{"n":7}"#),
        };
        let read = post(path, Some(media_type), Body::from(body)).await;
        assert_eq!(read, (200, "Some(7)".to_owned()), "{path}");
        for media_type in [None, Some("text/csv")] {
            for body in [Body::from(body), pieces(&["", "n=7"])] {
                assert_eq!(
                    post(path, media_type, body).await.0,
                    415,
                    "{path} {media_type:?}"
                );
            }
        }
    }
    for path in ["option", "alias", "json/inside", "json/outside"] {
        let invalid = post(path, Some(JSON), Body::from(r#"{"n":10}"#)).await;
        assert_eq!(invalid.0, 422, "{path} {invalid:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_optional_has_to_be_there() {
    assert_eq!(post("list", None, Body::empty()).await.0, 415);
    assert_eq!(post("list", Some(JSON), Body::empty()).await.0, 400);
}
