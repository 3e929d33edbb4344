//! The page.

use helios::prelude::*;

#[derive(Injectable)]
pub(crate) struct Page;

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
}
