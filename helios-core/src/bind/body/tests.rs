use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http_body::Frame;

use super::*;
use crate::bind::{Form, Http, last_argument};
use crate::request::{RequestContext, ResponseHead};
use crate::route::Template;

/// Owns the byte of a frame, and counts the frames that exist.
struct Byte(u8, #[expect(dead_code, reason = "it only counts")] Arc<()>);

impl AsRef<[u8]> for Byte {
    fn as_ref(&self) -> &[u8] {
        std::slice::from_ref(&self.0)
    }
}

/// A body of frames with one byte each. It panics if an earlier frame is kept, because a frame needs much more memory
/// than its byte.
struct Bytewise {
    rest: &'static [u8],
    alive: Arc<()>,
}

impl http_body::Body for Bytewise {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        assert_eq!(Arc::strong_count(&self.alive), 1, "a frame is kept");
        let Some((byte, rest)) = self.rest.split_first() else {
            return Poll::Ready(None);
        };
        self.rest = rest;
        let byte = Byte(*byte, Arc::clone(&self.alive));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(byte)))))
    }
}

/// Returns a call with a form in frames of one byte, of which 5 are allowed.
fn call(form: &'static str) -> Call {
    let head = http::Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (head, ()) = head.body(()).unwrap().into_parts();
    let request = RequestContext::new(head, Arc::new(Template::join(["/"])), Vec::new(), None);
    let body = Body::new(Bytewise {
        rest: form.as_bytes(),
        alive: Arc::default(),
    });
    Call::new(request, ResponseHead::default(), body, 5, Arc::default())
}

type Pairs = Vec<(String, String)>;

/// Returns what each way to read a whole body makes of the form, or the status of its refusal.
async fn read_in_every_way(form: &'static str) -> [Result<String, u16>; 4] {
    let result = |mut call: Call, text: Option<String>| match text {
        Some(text) => Ok(text),
        None => Err(call.refusal().status().as_u16()),
    };
    let text = |pairs: Pairs| {
        pairs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    };
    let mut calls = [call(form), call(form), call(form), call(form)];
    let raw = read_form(&mut calls[0]).await;
    let attribute = body::<Pairs>(&mut calls[0], raw).map(text);
    let wrapper = last_argument::<Http, Form<Pairs>, _>(&mut calls[1]).await;
    let wrapper = wrapper.map(|Form(pairs)| text(pairs));
    let bytes = last_argument::<Http, Bytes, _>(&mut calls[2]).await;
    let bytes = bytes.map(|bytes| String::from_utf8(bytes.into()).unwrap());
    let string = last_argument::<Http, String, _>(&mut calls[3]).await;
    let [first, second, third, fourth] = calls;
    [
        result(first, attribute),
        result(second, wrapper),
        result(third, bytes),
        result(fourth, string),
    ]
}

#[tokio::test]
async fn a_body_is_read_without_keeping_its_frames() {
    for read in read_in_every_way("a=234").await {
        assert_eq!(read.as_deref(), Ok("a=234"));
    }
}

#[tokio::test]
async fn one_byte_over_the_limit_is_refused() {
    for read in read_in_every_way("a=2345").await {
        assert_eq!(read, Err(413));
    }
}

#[tokio::test]
async fn a_body_without_frames_is_empty() {
    for read in read_in_every_way("").await {
        assert_eq!(read.as_deref(), Ok(""));
    }
}
