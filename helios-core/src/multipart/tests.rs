use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;
use http_body::Frame;
use proptest::prelude::*;

use super::*;

/// A body whose chunks come one by one, and that stays open after them if it is told so.
struct Chunks {
    rest: Vec<Bytes>,
    /// Whether a chunk may come now.
    ready: bool,
    stays_open: bool,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.ready, false) {
            self.ready = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.rest.pop() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if self.stays_open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

async fn form(body: &[u8], chunk: usize, stays_open: bool) -> Multipart {
    let chunks = body.chunks(chunk).rev();
    let body = Chunks {
        rest: chunks.map(Bytes::copy_from_slice).collect(),
        ready: false,
        stays_open,
    };
    let kind = "multipart/form-data; boundary=-b-";
    let request = Request::post("/").header(CONTENT_TYPE, kind);
    let request = request.body(Body::new(body)).unwrap();
    Multipart::from_request(request, &()).await.unwrap()
}

/// Returns the names and texts of all parts.
async fn parts(body: &[u8], chunk: usize) -> Result<Vec<(String, String)>, StatusCode> {
    let mut form = form(body, chunk, false).await;
    let mut parts = Vec::new();
    while let Some(part) = form.next().await.map_err(|error| error.status())? {
        let name = part.name().unwrap_or_default().to_owned();
        let text = part.text().await.map_err(|error| error.status())?;
        parts.push((name, text));
    }
    Ok(parts)
}

fn part(name: &str, text: &str) -> String {
    format!("---b-\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
}

fn pair(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

#[tokio::test]
async fn a_form_in_chunks_of_any_size_is_read() {
    let (first, second) = ("\r\n---b\r\n\r-", "-".repeat(20_000));
    let body = format!(
        "preamble\r\n{}{}---b---\r\nepilogue",
        part("one", first),
        part("two", &second)
    );
    for chunk in [1, 2, 3, 5, 8, 1000, body.len()] {
        let expected = vec![pair("one", first), pair("two", &second)];
        assert_eq!(parts(body.as_bytes(), chunk).await, Ok(expected), "{chunk}");
    }
}

#[tokio::test]
async fn a_long_preamble_and_a_long_head_are_refused() {
    let long = "x".repeat(17 * 1024);
    let preamble = format!("{long}\r\n{}---b---\r\n", part("one", "text"));
    let head = format!("{}{}---b---\r\n", part("one", "text"), part(&long, "text"));
    let padding = format!("---b-{}\r\n\r\n---b---\r\n", " ".repeat(17 * 1024));
    for body in [preamble, head, padding] {
        for chunk in [1, 1000, body.len()] {
            let refused = parts(body.as_bytes(), chunk).await;
            assert_eq!(refused, Err(StatusCode::BAD_REQUEST), "{chunk}");
        }
    }
}

#[tokio::test]
async fn an_epilogue_of_any_length_is_ignored() {
    let body = format!("{}---b---\r\n{}", part("one", "text"), "x".repeat(50_000));
    for chunk in [1000, body.len()] {
        let expected = vec![pair("one", "text")];
        assert_eq!(parts(body.as_bytes(), chunk).await, Ok(expected));
    }
}

#[tokio::test]
async fn a_part_is_read_while_the_rest_has_not_come() {
    let begun = part("one", "text");
    let mut open = form(begun.trim_end().as_bytes(), 7, true).await;
    let mut first = open.next().await.unwrap().unwrap();
    let mut text = Vec::new();
    while text != b"text" {
        text.extend(first.chunk().await.unwrap().unwrap());
    }
    let body = format!("{}---b-", part("one", "text"));
    let mut open = form(body.as_bytes(), 7, true).await;
    let first = open.next().await.unwrap().unwrap();
    assert_eq!(first.text().await.unwrap(), "text");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let body = format!("{}{}---b---", part("one", "text"), part("two", "text"));
    for length in 0..body.len() {
        let refused = parts(&body.as_bytes()[..length], 3).await;
        assert_eq!(refused, Err(StatusCode::BAD_REQUEST), "{length}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in "(---b-|\r|\n|-|:|x){0,60}", chunk in 1usize..20) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let whole = runtime.block_on(parts(body.as_bytes(), body.len().max(1)));
        let in_chunks = runtime.block_on(parts(body.as_bytes(), chunk));
        prop_assert_eq!(whole, in_chunks);
    }
}
