//! Benches of a request in process: routing, binding, and overhead.
#![allow(clippy::unwrap_used)]

use axum::body::Body;
use criterion::{Criterion, criterion_group, criterion_main};
use helios::prelude::*;
use helios_benches::routes;
use http::{Method, Request};
use serde::Deserialize;
use std::hint::black_box;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

#[derive(Injectable)]
struct Articles;

#[derive(Deserialize)]
struct Draft {
    title: String,
    tags: Vec<String>,
}

#[controller(prefix = "articles")]
impl Articles {
    #[get]
    async fn nothing(&self) {}

    #[post("{id}")]
    async fn revise(
        &self,
        #[param] id: u64,
        #[query] notify: Option<bool>,
        #[header("x-author")] author: String,
        #[body] draft: Draft,
    ) {
        black_box((id, notify, author, draft.title, draft.tags));
    }
}

#[server(controllers = [Articles])]
struct App;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn nothing() -> Request<Body> {
    Request::get("/articles").body(Body::empty()).unwrap()
}

fn values() -> Request<Body> {
    let body = r#"{ "title": "Helios", "tags": ["sun", "god"] }"#;
    Request::post("/articles/17?notify=true")
        .header("content-type", "application/json")
        .header("x-author", "Hesiod")
        .body(Body::from(body))
        .unwrap()
}

fn binding(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut service = Helios::new(App).into_service().unwrap();
    let mut group = criterion.benchmark_group("bind");
    let requests: [(_, fn() -> _); 2] = [
        ("nothing", nothing),
        ("path, query, header and JSON", values),
    ];
    for (name, request) in requests {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let answered = runtime.block_on(service.call(request()));
                assert!(answered.unwrap().status().is_success());
            });
        });
    }
    group.finish();
}

/// Requests ten routes in each pass, spread over all of them.
fn routing(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("route ten requests");
    for method in [Method::OPTIONS, Method::GET] {
        for count in [10, 1000] {
            let mut service = routes::app(count).into_service().unwrap();
            let targets = routes::targets(count);
            let mut tens = targets.chunks(10).cycle();
            group.bench_function(format!("{method} among {count}"), |bencher| {
                bencher.iter(|| {
                    let ten = tens.next().unwrap_or_default();
                    runtime.block_on(routes::walk(&mut service, &method, ten));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, binding, routing);
criterion_main!(benches);
