//! The page of the chat, typed by the document of its server.

use helios::Helios;

use super::examples::chat;
use super::typed::{self, Page};

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn the_page_of_the_chat_is_checked_against_its_server() {
    let app = Helios::new(chat::App).sse_options(chat::options);
    let page = Page {
        name: "chat",
        folder: typed::examples().join("chat"),
        document: app.openapi_document().unwrap(),
        mistakes: &[
            ("page.js", "case 'said'", "case 'sayd'"),
            ("page.js", "case 'helios:left'", "case 'helios:lost'"),
            ("page.js", "query = { name:", "query = { nick:"),
            ("page.js", "message.key ?? ''", "message.keys ?? ''"),
            (
                "page.js",
                "at('/rooms/{room}/people'",
                "at('/rooms/{room}/persons'",
            ),
            (
                "page.js",
                "const message = { key, name:",
                "const message = { key, nick:",
            ),
            ("page.js", "status === 'here'", "status === 'there'"),
        ],
    };
    page.is_checked().await;
}
