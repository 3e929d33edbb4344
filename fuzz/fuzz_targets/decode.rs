//! Checks that decoding does not depend on how the bytes are cut into chunks, and never panics.

#![no_main]

use std::time::Duration;

use helios_core::decode::{DecodeError, Decoded, Decoder};
use libfuzzer_sys::fuzz_target;

type Outcome = (
    Result<(), DecodeError>,
    Vec<Decoded>,
    String,
    Option<Duration>,
);

fn decode<'a>(limit: usize, mut chunks: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::with_limit(limit);
    let result = chunks.try_for_each(|chunk| decoder.feed(chunk));
    let items = std::iter::from_fn(|| decoder.next_item()).collect();
    (
        result,
        items,
        decoder.last_event_id().to_owned(),
        decoder.retry(),
    )
}

fn cut<'a>(mut bytes: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let last = usize::MAX;
    sizes
        .iter()
        .map(|size| usize::from(*size))
        .chain([last])
        .map(move |size| {
            let (chunk, rest) = bytes.split_at(size.min(bytes.len()));
            bytes = rest;
            chunk
        })
}

fuzz_target!(|input: (u16, Vec<u8>, Vec<u8>)| {
    let (limit, sizes, bytes) = &input;
    let limit = usize::from(*limit);
    let whole = decode(limit, [&**bytes].into_iter());
    assert_eq!(decode(limit, cut(bytes, sizes)), whole);
    assert_eq!(decode(limit, bytes.chunks(1)), whole);
});
