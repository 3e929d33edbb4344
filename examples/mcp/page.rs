//! The page.

use std::collections::VecDeque;

use helios::prelude::*;

use super::calls::{Call, Calls};

#[derive(Injectable)]
pub(crate) struct Page {
    calls: Arc<Calls>,
}

#[controller]
impl Page {
    #[get]
    fn index(&self) -> Html<&str> {
        Html(include_str!("page.html"))
    }

    #[get("look.css")]
    #[header("content-type", "text/css")]
    fn look(&self) -> &str {
        include_str!("../look.css")
    }

    /// Sends the list of calls, at once and after each change.
    #[sse("calls")]
    fn calls(&self) -> impl Stream<Item = Json<VecDeque<Call>>> + use<> {
        let mut calls = self.calls.watch();
        stream! {
            loop {
                let now = calls.borrow_and_update().clone();
                yield Json(now);
                if calls.changed().await.is_err() {
                    break;
                }
            }
        }
    }
}
