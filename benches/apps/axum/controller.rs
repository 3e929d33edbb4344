use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::sleep;

#[derive(Deserialize)]
struct Draft {
    title: String,
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Article {
    id: u64,
    title: String,
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Notify {
    notify: Option<bool>,
}

pub fn router() -> Router {
    Router::new()
        .route("/articlesNUMBER", post(create))
        .route("/articlesNUMBER/{id}", get(find).put(revise))
        .route("/articlesNUMBER/{id}/events", get(events))
}

async fn find(Path(id): Path<u64>) -> Json<Article> {
    let title = String::from("VERSION");
    Json(Article { id, title, tags: Vec::new() })
}

async fn create(Json(draft): Json<Draft>) -> Json<Article> {
    let Draft { title, tags } = draft;
    Json(Article { id: NUMBER, title, tags })
}

async fn revise(
    Path(id): Path<u64>,
    Query(Notify { notify }): Query<Notify>,
    Json(draft): Json<Draft>,
) -> Result<Json<Article>, StatusCode> {
    if notify == Some(true) {
        return Err(StatusCode::FORBIDDEN);
    }
    let Draft { title, tags } = draft;
    Ok(Json(Article { id, title, tags }))
}

async fn events(Path(id): Path<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream! {
        for n in 0..id {
            if let Ok(event) = Event::default().event("update").json_data(json!({ "n": n })) {
                yield Ok(event);
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    Sse::new(events).keep_alive(KeepAlive::default())
}
