//! The page. Its files are in the program, which runs from any folder and needs no network.

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Forbids everything from other hosts, and scripts that a chat message could smuggle in.
const POLICY: &str = "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

#[derive(Injectable)]
pub(crate) struct Page;

#[controller]
impl Page {
    #[get]
    #[answers(200, "text/html")]
    fn index(&self) -> Response {
        file(HTML, include_str!("page/index.html"))
    }

    #[get("page/{name}")]
    #[answers(200, "text/*")]
    fn part(&self, #[param] name: &str) -> Option<Response> {
        let part = match name {
            "look.css" => file(CSS, include_str!("../look.css")),
            "style.css" => file(CSS, include_str!("page/style.css")),
            "main.js" => file(JS, include_str!("page/main.js")),
            "helios-sse-client.js" => file(JS, include_str!("../helios-sse-client.js")),
            "connection.js" => file(JS, include_str!("page/connection.js")),
            "status.js" => file(JS, include_str!("page/status.js")),
            "metrics.js" => file(JS, include_str!("page/metrics.js")),
            "chart.js" => file(JS, include_str!("page/chart.js")),
            "jobs.js" => file(JS, include_str!("page/jobs.js")),
            "chat.js" => file(JS, include_str!("page/chat.js")),
            "notifications.js" => file(JS, include_str!("page/notifications.js")),
            "list.js" => file(JS, include_str!("page/list.js")),
            "request.js" => file(JS, include_str!("page/request.js")),
            "format.js" => file(JS, include_str!("page/format.js")),
            _ => return None,
        };
        Some(part)
    }
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        ("content-type", kind),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
    ];
    (headers, text).into_response()
}
