//! `GET /hello/{id}`, which returns JSON: the same in Helios, in axum, and by hand on hyper.

use std::convert::Infallible;

use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use helios::prelude::*;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;

/// The response of each of them.
#[derive(Serialize)]
struct Hello {
    id: u64,
    message: &'static str,
}

impl Hello {
    fn to(id: u64) -> Self {
        let message = "hello";
        Self { id, message }
    }
}

#[derive(Injectable)]
struct Greeter;

#[controller(prefix = "hello")]
impl Greeter {
    #[get("{id}")]
    async fn greet(&self, #[param] id: u64) -> Hello {
        Hello::to(id)
    }
}

#[server(controllers = [Greeter])]
struct App;

/// Returns the app in Helios, with a controller.
pub fn helios() -> Helios {
    Helios::new(App)
}

/// Returns the app in axum, with an extractor.
pub fn axum() -> axum::Router {
    let greet = async |Path(id): Path<u64>| axum::Json(Hello::to(id));
    axum::Router::new().route("/hello/{id}", get(greet))
}

/// Handles a request with nothing but hyper.
///
/// # Errors
///
/// Never returns an error.
pub async fn hyper(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let id = match *request.method() {
        Method::GET => request.uri().path().strip_prefix("/hello/"),
        _ => None,
    };
    let json = id
        .and_then(|id| id.parse().ok())
        .and_then(|id| serde_json::to_vec(&Hello::to(id)).ok());
    Ok(match json {
        Some(json) => {
            let mut response = Response::new(Full::from(json));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        None => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}
