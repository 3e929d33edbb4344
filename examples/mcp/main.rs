//! Tools for language models: an MCP server behind a guard, beside a page that shows the calls as they happen.
//!
//! ```text
//! cargo run -p helios-example-mcp     # open http://127.0.0.1:3000, and let a client call
//! ```
//!
//! Any client of MCP works with it: its address is `http://127.0.0.1:3000/mcp`, its header `authorization: Bearer agent-token`.
//! The page is open to whoever reaches it; `guards = [..]` at its controller would ask them, too.
//!
//! | file | purpose |
//! | --- | --- |
//! | `agents.rs` | the guard: a bearer token says which agent it is |
//! | `tools.rs` | the tools, by rmcp's macros |
//! | `calls.rs` | what runs, and what has run last |
//! | `page.rs`, `page.html` | the page |

mod agents;
mod calls;
mod page;
mod tools;

use helios::prelude::*;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

#[server(controllers = [page::Page], sse(enabled = true), port = 3000)]
struct App;

fn app() -> Helios {
    let calls = calls::Calls::default();
    let tools = tools::Tools::new(calls.clone());
    // By default it answers on loopback names alone. Behind a proxy add `.with_allowed_hosts(["tools.example"])`.
    let config = StreamableHttpServerConfig::default().enforce_origin_validation();
    let sessions = Arc::new(LocalSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(tools.clone()), sessions, config);
    Helios::new(App)
        .provide(calls)
        .mount_guarded("/mcp", guards![agents::Known], mcp)
}

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    app().listen().await
}
