//! Passes a multipart body on to its parser, whose heads it completes first.
//!
//! multer searches everything that it holds again whenever something arrives, and it holds a preamble or the head of a
//! part without a limit. Here, each byte is searched once, and both have a limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum_core::BoxError;
use axum_core::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use memchr::memmem;

/// The length of the longest preamble, and of the longest head of a part.
const LONGEST: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("there are more than {LONGEST} bytes before the first part, or in the head of a part")]
struct TooLong;

/// A place in the body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Preamble,
    /// The rest of the line of a boundary.
    Line,
    Head,
    Data,
    Epilogue,
}

/// A multipart body that passes on a preamble or a head only when it is complete, and the data of parts at once.
pub(super) struct WholeHeads {
    body: Body,
    has_ended: bool,
    held: BytesMut,
    scan: Scan,
}

/// The search for the end of the current place.
struct Scan {
    place: Place,
    /// The boundary as it follows the data of a part.
    delimiter: Vec<u8>,
    /// The length of the place's beginning in which its end does not begin.
    searched: usize,
}

impl Scan {
    /// Enters the next place if this one ends in these bytes, which begin with it. Returns its length.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, TooLong> {
        let (end, next): (&[u8], _) = match self.place {
            Place::Preamble => (&self.delimiter[2..], Place::Line),
            Place::Line if bytes.starts_with(b"--") => (b"--", Place::Epilogue),
            Place::Line => (b"\r\n", Place::Head),
            Place::Head => (b"\r\n\r\n", Place::Data),
            Place::Data => (&self.delimiter, Place::Line),
            Place::Epilogue => return Ok(None),
        };
        let found = memmem::find(&bytes[self.searched..], end);
        let length = found.map(|at| self.searched + at + end.len());
        if self.place != Place::Data && length.unwrap_or(bytes.len()) > LONGEST {
            return Err(TooLong);
        }
        self.searched = match length {
            Some(_) => 0,
            None => bytes.len().saturating_sub(end.len() - 1),
        };
        if length.is_some() {
            self.place = next;
        }
        Ok(length)
    }
}

impl WholeHeads {
    pub(super) fn new(body: Body, boundary: &str) -> Self {
        let scan = Scan {
            place: Place::Preamble,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            searched: 0,
        };
        Self {
            body,
            has_ended: false,
            held: BytesMut::new(),
            scan,
        }
    }

    /// Adds more of the body. Returns the bytes that may be passed on.
    fn add(&mut self, data: &[u8]) -> Result<Bytes, TooLong> {
        self.held.extend_from_slice(data);
        let mut passed = 0;
        while let Some(length) = self.scan.step(&self.held[passed..])? {
            passed += length;
        }
        let left = &self.held[passed..];
        passed += match self.scan.place {
            Place::Epilogue => left.len(),
            Place::Data => {
                self.scan.searched = 0;
                left.len() - begun(&self.scan.delimiter, left)
            }
            _ => 0,
        };
        Ok(self.held.split_to(passed).freeze())
    }
}

/// Returns the length of the beginning of `end` with which the bytes end.
fn begun(end: &[u8], bytes: &[u8]) -> usize {
    let mut lengths = (1..end.len()).rev();
    let begun = lengths.find(|length| bytes.ends_with(&end[..*length]));
    begun.unwrap_or(0)
}

impl http_body::Body for WholeHeads {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.has_ended {
            let passed = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.data_ref().map(|data| self.add(data)) {
                    Some(passed) => passed.map_err(BoxError::from),
                    None => continue,
                },
                Some(Err(error)) => Err(error.into()),
                None => {
                    // The parser says what is missing.
                    self.has_ended = true;
                    Ok(self.held.split().freeze())
                }
            };
            if !matches!(&passed, Ok(bytes) if bytes.is_empty()) {
                return Poll::Ready(Some(passed.map(Frame::data)));
            }
        }
        Poll::Ready(None)
    }
}
