//! Tools for language models: an MCP server behind a guard, and a page that shows the calls as they happen.
//!
//! ```text
//! cargo run -p helios-example-mcp     # open http://127.0.0.1:3000, then connect a client
//! ```
//!
//! Any MCP client can connect to `http://127.0.0.1:3000/mcp` with the header `authorization: Bearer agent-token`. The
//! page itself is open to everybody who can reach it. To protect it, add `guards = [..]` to its controller.
//!
//! | file | purpose |
//! | --- | --- |
//! | `agents.rs` | the guard, which identifies an agent by its bearer token |
//! | `tools.rs` | the tools, with rmcp's macros |
//! | `calls.rs` | the calls in progress, and the last ones that have ended |
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

pub(crate) fn app() -> Helios {
    let calls = calls::Calls::default();
    let tools = tools::Tools::new(calls.clone());
    // By default the server accepts only loopback host names. Behind a proxy,
    // add `.with_allowed_hosts(["tools.example"])`.
    let config = StreamableHttpServerConfig::default();
    let config = config.enforce_origin_validation();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = move || Ok(tools.clone());
    let mcp = StreamableHttpService::new(service, sessions, config);
    Helios::new(App)
        .provide(calls)
        .mount_guarded("/mcp", guards![agents::Known], mcp)
}

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    app().listen().await
}
