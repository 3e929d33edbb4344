use helios::prelude::*;
use serde::{Deserialize, Serialize};

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

#[derive(Injectable)]
pub struct Articles;

#[controller(prefix = "articlesNUMBER")]
impl Articles {
    #[get("{id}")]
    async fn find(&self, #[param] id: u64) -> Article {
        let title = String::from("VERSION");
        Article { id, title, tags: Vec::new() }
    }

    #[post]
    async fn create(&self, #[body] draft: Draft) -> Article {
        let Draft { title, tags } = draft;
        Article { id: NUMBER, title, tags }
    }

    #[put("{id}")]
    async fn revise(
        &self,
        #[param] id: u64,
        #[query] notify: Option<bool>,
        #[body] draft: Draft,
    ) -> Result<Article, HttpError> {
        if notify == Some(true) {
            return Err(HttpError::forbidden("nobody wants to know"));
        }
        let Draft { title, tags } = draft;
        Ok(Article { id, title, tags })
    }

    #[sse("{id}/events")]
    fn events(&self, #[param] id: u64) -> impl Stream<Item = SseEvent> {
        stream! {
            for n in 0..id {
                yield SseEvent::json(json!({ "n": n })).event("update");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
