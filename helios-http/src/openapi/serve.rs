//! The document and its page, as mounted services.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios_core::error::HttpError;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};

use crate::error::StartupFault;
use crate::openapi::document::{OpenApiDocument, document};
use crate::openapi::operation::{Operation, Whole};
use crate::openapi::page::page;
use crate::openapi::settings::OpenApi;
use crate::openapi::unknown::Unknown;
use crate::routing::mount::{BoxedService, boxed};

/// The served texts. They are set once the app has started, since the document needs all routes.
#[derive(Clone, Default)]
pub(crate) struct Served(Arc<OnceLock<Texts>>);

struct Texts {
    newest: Bytes,
    of_3_1: Bytes,
    page: Bytes,
}

impl Served {
    pub(crate) fn set(&self, settings: &OpenApi, document: &OpenApiDocument) {
        let title = document.v3_2()["info"]["title"].as_str();
        let texts = Texts {
            newest: document.v3_2().to_string().into(),
            of_3_1: document.v3_1().to_string().into(),
            page: page(settings, title.unwrap_or_default()).into(),
        };
        // An app starts once.
        let _ = self.0.set(texts);
    }

    /// Returns the services, each with its path.
    pub(crate) fn services(&self, settings: &OpenApi) -> Vec<(String, BoxedService)> {
        const JSON: &str = "application/json";
        let mut services = vec![
            (
                settings.path.clone(),
                self.service(JSON, |texts| &texts.newest),
            ),
            (
                settings.path_of_3_1(),
                self.service(JSON, |texts| &texts.of_3_1),
            ),
        ];
        if let Some(path) = &settings.page {
            let page = self.service("text/html; charset=utf-8", |texts| &texts.page);
            services.push((path.clone(), page));
        }
        services
    }

    fn service(&self, kind: &'static str, of: fn(&Texts) -> &Bytes) -> BoxedService {
        let texts = Arc::clone(&self.0);
        boxed(tower::service_fn(move |request: Request<Body>| {
            let answer = answer(&request, texts.get().map(of), kind);
            async { Ok::<_, Infallible>(answer) }
        }))
    }
}

/// Generates the served texts. Returns what the documents leave open.
pub(crate) fn set(
    served: &[(OpenApi, Served)],
    operations: &[Operation],
    app: &Whole<'_>,
    faults: &mut Vec<StartupFault>,
) -> Vec<Unknown> {
    let mut unknown = Vec::new();
    for (settings, served) in served {
        match document(operations, settings, app) {
            Ok(document) => {
                served.set(settings, &document);
                unknown = document.unknown().to_vec();
            }
            Err(same) => {
                faults.extend(same);
                break;
            }
        }
    }
    unknown
}

fn answer(request: &Request<Body>, text: Option<&Bytes>, kind: &'static str) -> Response {
    let (Some(text), "/") = (text, request.uri().path()) else {
        return HttpError::not_found("nothing is here").into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refused = HttpError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path answers GET, HEAD",
        );
        let allow = HeaderValue::from_static("GET, HEAD");
        return refused.with_header(ALLOW, allow).into_response();
    }
    let kind = HeaderValue::from_static(kind);
    ([(CONTENT_TYPE, kind)], text.clone()).into_response()
}
