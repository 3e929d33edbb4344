//! The page that shows the document to people.

use crate::openapi::settings::OpenApi;

/// Returns the page. All its content comes from this crate or from the app's settings. Characters that could end an
/// attribute or a text are escaped.
pub(super) fn page(settings: &OpenApi, title: &str) -> String {
    let script = &settings.script;
    let integrity = script.integrity.map_or(String::new(), |hash| {
        format!(" integrity=\"{hash}\" crossorigin=\"anonymous\"")
    });
    format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n\
         <script id=\"api-reference\" data-url=\"{path}\"></script>\n\
         <script src=\"{url}\"{integrity}></script>\n\
         </html>\n",
        title = escaped(title),
        path = escaped(&settings.path),
        url = escaped(&script.url),
    )
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_escapes_what_the_app_says() {
        let settings = OpenApi::at("/a\"b.json").script("/x?a&b");
        let page = page(&settings, "<T>");
        assert!(page.contains("<title>&lt;T&gt;</title>"), "{page}");
        assert!(page.contains("data-url=\"/a&quot;b.json\""), "{page}");
        assert!(page.contains("src=\"/x?a&amp;b\"></script>"), "{page}");
    }

    #[test]
    fn a_script_from_elsewhere_is_loaded_by_its_hash_alone() {
        let page = page(&OpenApi::default(), "T");
        assert!(page.contains("integrity=\"sha384-"), "{page}");
    }
}
