//! Multipart bodies for tests.

use std::fmt::Write;

use bytes::Bytes;

/// A form with files, as a browser sends it, for [`TestRequest::multipart`](crate::testing::TestRequest::multipart).
///
/// The parts are sent in the order in which they are added. In field and file names, quotes and line breaks are sent as
/// `%22`, `%0D` and `%0A`, as browsers do.
///
/// ```
/// use helios::prelude::*;
/// use helios::http::Multipart;
/// use helios::testing::{TestApp, TestMultipart};
///
/// #[derive(Injectable)]
/// struct Photos;
///
/// #[controller(prefix = "photos")]
/// impl Photos {
///     #[post]
///     async fn upload(&self, mut parts: Multipart) -> Result<String, HttpError> {
///         let mut said = String::new();
///         while let Some(part) = parts.next().await? {
///             let (name, file) = (part.name().unwrap_or_default().to_owned(), part.file_name().is_some());
///             said += &format!("{name}, a file: {file}, {} bytes; ", part.bytes().await?.len());
///         }
///         Ok(said)
///     }
/// }
/// # #[server(controllers = [Photos])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let form = TestMultipart::new().text("title", "The sea").file("photo", "sea.png", "image/png", vec![0; 100]);
/// let said = app.post("/photos").multipart(form).await;
/// assert_eq!(said.text(), "title, a file: false, 7 bytes; photo, a file: true, 100 bytes; ");
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "give it to `TestRequest::multipart`"]
pub struct TestMultipart(Vec<Part>);

#[derive(Clone, Debug)]
struct Part {
    /// The headers, with the blank line that ends them.
    head: String,
    content: Bytes,
}

impl TestMultipart {
    /// Creates a form without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    pub fn text(self, name: &str, value: &str) -> Self {
        let head = format!("name=\"{}\"\r\n", quoted(name));
        self.with(head, Bytes::copy_from_slice(value.as_bytes()))
    }

    /// Adds a file. `name` is the name of its field.
    pub fn file(
        self,
        name: &str,
        file_name: &str,
        content_type: &str,
        content: impl Into<Bytes>,
    ) -> Self {
        let (name, file_name) = (quoted(name), quoted(file_name));
        let content_type = content_type.replace(['\r', '\n'], " ");
        let head = format!(
            "name=\"{name}\"; filename=\"{file_name}\"\r\ncontent-type: {content_type}\r\n"
        );
        self.with(head, content.into())
    }

    fn with(mut self, head: String, content: Bytes) -> Self {
        let head = format!("content-disposition: form-data; {head}\r\n");
        self.0.push(Part { head, content });
        self
    }

    /// Returns the content type with its boundary, and the body.
    pub(super) fn written(&self) -> (String, Bytes) {
        let boundary = self.boundary();
        let mut body = Vec::new();
        for Part { head, content } in &self.0 {
            body.extend_from_slice(format!("--{boundary}\r\n{head}").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (
            format!("multipart/form-data; boundary={boundary}"),
            body.into(),
        )
    }

    /// Returns the first boundary that no part contains.
    fn boundary(&self) -> String {
        let mut boundary = "helios-test".to_owned();
        while self.0.iter().any(|part| part.contains(boundary.as_bytes())) {
            // The boundary grows with each step, so in the end no part can contain it.
            let _ = write!(boundary, "-{}", boundary.len());
        }
        boundary
    }
}

impl Part {
    fn contains(&self, text: &[u8]) -> bool {
        let is_in = |content: &[u8]| content.windows(text.len()).any(|window| window == text);
        is_in(self.head.as_bytes()) || is_in(&self.content)
    }
}

/// Escapes a name as WHATWG HTML does (section 4.10.21.8).
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_holds_the_boundary() {
        let boundary_of = |form: TestMultipart| form.boundary();
        let first = boundary_of(TestMultipart::new());
        let second = boundary_of(TestMultipart::new().text("a", &first));
        assert_ne!(first, second);
        let form = TestMultipart::new()
            .text(&second, "")
            .file("b", "", "", first);
        let third = form.boundary();
        let (_, body) = form.written();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(body.matches(&third).count(), 3, "{body}");
    }

    #[test]
    fn a_name_does_not_break_out_of_its_header() {
        let form = TestMultipart::new().file("a\"b", "c\r\nd", "text/plain\r\nx: y", "");
        let (_, body) = form.written();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains(r#"name="a%22b"; filename="c%0D%0Ad""#),
            "{body}"
        );
        assert!(
            body.contains("\r\ncontent-type: text/plain  x: y\r\n"),
            "{body}"
        );
    }
}
