//! A gateway for a language model: OpenAI's streams for programs, and a page whose answer survives a reload.
//!
//! ```text
//! cargo run --example llm       # open it, ask, reload in the middle, open it in a second tab, stop it
//! curl -N http://127.0.0.1:3000/v1/chat/completions -H 'authorization: Bearer sk-sun' \
//!     --json '{"model":"sun","stream":true,"messages":[{"role":"user","content":"What is the sun?"}]}'
//! curl -N http://127.0.0.1:3000/generations     # how many run: stop a client and watch
//! ```
//!
//! Any client of OpenAI's works with it: `OpenAI(base_url="http://127.0.0.1:3000/v1", api_key="sk-sun")`. The model `sun-busy`
//! refuses every other request, `sun-broken` fails in the middle, and `sun-slow` thinks for 40 s.
//!
//! | file | purpose |
//! | --- | --- |
//! | `upstream.rs` | the model, and the place for a real one |
//! | `generations.rs` | the generations in progress, counted and limited |
//! | `completions.rs`, `openai.rs` | OpenAI's API; its keys and errors |
//! | `answers.rs` | answers that many pages read |
//! | `chats.rs` | chats for the AI SDK of Vercel, which resumes them |
//! | `page.rs`, `page.html` | the page |

mod answers;
mod chats;
mod completions;
mod generations;
mod openai;
mod page;
pub(crate) mod upstream;

use helios::prelude::{Arc, Helios, server};
use helios::sse::HistoryLimits;

#[server(
    controllers = [completions::Completions, answers::Answers, chats::Chats, generations::Watch, page::Page],
    body_limit = 65_536,
    sse(enabled = true),
    port = 3000,
)]
pub(crate) struct App;

pub(crate) fn app() -> Helios {
    let fake = Arc::new(upstream::Fake::default());
    let app = Helios::new(App).provide_as::<dyn upstream::Upstream>(fake);
    app.sse_options(|sse| {
        let (events, age) = (answers::LONGEST, answers::KEPT);
        for topics in ["answer:*", "chat:*"] {
            sse.keep_topic(topics, HistoryLimits { events, age });
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    app().listen().await
}
