//! The page of the dashboard, type-checked against the document of its server, including the names and data of events.

use support::folder::Folder;

use super::dashboard;
use super::typed::{self, Page};

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn the_page_is_checked_against_the_events_of_its_server() {
    let state = Folder::new("dashboard-types");
    let app = dashboard::app(&state.0).unwrap();
    let page = Page {
        name: "dashboard",
        folder: typed::examples().join("dashboard/page"),
        document: app.openapi_document().unwrap(),
        mistakes: &[
            ("connection.js", "case 'caught-up'", "case 'caught-upp'"),
            ("jobs.js", "job.percent", "job.percents"),
            ("chat.js", "'POST', '/chat'", "'POST', '/chats'"),
        ],
    };
    page.is_checked().await;
}
