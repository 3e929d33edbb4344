//! [`Multipart`], which reads uploads part by part.

mod heads;

use axum_core::body::Body;
use axum_core::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;

use self::heads::WholeHeads;
use crate::bind::{unreadable, unsupported_media_type};
use crate::error::HttpError;
use crate::text;

/// A `multipart/form-data` body ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)). It is an argument without an
/// attribute, and it streams. A part is read on request, and only what the handler keeps stays in memory. The app's
/// body limit applies to the whole body. A part's head has at most 16 KiB, and so has what comes before the first part.
///
/// ```
/// use helios::http::Multipart;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Files;
///
/// #[controller(prefix = "files")]
/// impl Files {
///     #[post]
///     async fn upload(&self, mut parts: Multipart) -> Result<String, HttpError> {
///         let mut bytes = 0;
///         while let Some(mut part) = parts.next().await? {
///             while let Some(chunk) = part.chunk().await? {
///                 bytes += chunk.len();
///             }
///         }
///         Ok(format!("{bytes} bytes"))
///     }
/// }
/// # #[server(controllers = [Files])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let app = helios::testing::TestApp::start(App).unwrap();
/// let body = "--b\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--b--\r\n";
/// let uploaded = app.post("/files").content("multipart/form-data; boundary=b", body).await;
/// assert_eq!(uploaded.text(), "5 bytes");
/// # }
/// ```
#[derive(Debug)]
pub struct Multipart(multer::Multipart<'static>);

impl Multipart {
    /// Returns the next part. The unread rest of the part before it is skipped. Cancel-safe.
    ///
    /// # Errors
    ///
    /// 413 over the body limit, 408 if the client pauses for too long, and 400 if the body breaks off or does not match
    /// its head. Also 400 if the part before it still exists.
    pub async fn next(&mut self) -> Result<Option<Part>, HttpError> {
        let field = self.0.next_field().await.map_err(refusal)?;
        Ok(field.map(Part))
    }
}

/// One part, which is a field of the form or a file. Drop it before you call [`Multipart::next`] again.
///
/// ```
/// use helios::http::{HttpError, Multipart};
///
/// /// Returns the text of the field `title`, and the sizes of the PNG files.
/// async fn gallery(mut parts: Multipart) -> Result<(String, Vec<usize>), HttpError> {
///     let (mut title, mut sizes) = (String::new(), Vec::new());
///     while let Some(part) = parts.next().await? {
///         match (part.name(), part.file_name(), part.content_type()) {
///             (Some("title"), None, _) => title = part.text().await?,
///             (_, Some(_), Some("image/png")) => sizes.push(part.bytes().await?.len()),
///             _ => {}
///         }
///     }
///     Ok((title, sizes))
/// }
/// ```
#[derive(Debug)]
pub struct Part(multer::Field<'static>);

impl Part {
    /// Returns the field's name ([RFC 7578, section 4.2](https://www.rfc-editor.org/rfc/rfc7578#section-4.2)).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }

    /// Returns the file's name as the client sent it. Do not use it as a path, because the client chooses it.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.0.file_name()
    }

    /// Returns the content type as the client sent it ([RFC 7578, section
    /// 4.4](https://www.rfc-editor.org/rfc/rfc7578#section-4.4)).
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.0.content_type().map(AsRef::as_ref)
    }

    /// Returns the next chunk of the part, or `None` at its end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.0.chunk().await.map_err(refusal)
    }

    /// Returns the whole part, in memory. Not cancel-safe: a dropped future loses what it has read.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next`].
    pub async fn bytes(self) -> Result<Bytes, HttpError> {
        self.0.bytes().await.map_err(refusal)
    }

    /// Returns the whole part as text, in the `charset` of its content type, or UTF-8. Bytes that are not text become
    /// U+FFFD. Not cancel-safe: a dropped future loses what it has read.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next`].
    pub async fn text(self) -> Result<String, HttpError> {
        self.0.text().await.map_err(refusal)
    }
}

impl<S: Send + Sync> FromRequest<S> for Multipart {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(text::of).unwrap_or_default();
        let boundary = multer::parse_boundary(kind)
            .map_err(|_| unsupported_media_type("`multipart/form-data` with a `boundary`"))?;
        let body = Body::new(WholeHeads::new(request.into_body(), &boundary));
        Ok(Self(multer::Multipart::new(
            body.into_data_stream(),
            boundary,
        )))
    }
}

fn refusal(error: multer::Error) -> HttpError {
    unreadable(error, "the body is not well-formed `multipart/form-data`")
}

#[cfg(test)]
mod tests;
