//! Tests encoder and decoder against each other, and the decoder against a naive reading of the specification.

use std::mem;
use std::time::Duration;

use helios_core::decode::{Decoded, DecodedEvent, Decoder};
use helios_core::encode::{encode, encode_into};
use helios_core::event::{EventError, SseEvent};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

/// Everything that a client can observe: the items, the last event id and the reconnection time.
type Observed = (Vec<Decoded>, String, Option<Duration>);

fn observe<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Observed {
    let mut decoder = Decoder::new();
    let mut items = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk).expect("far below the limit");
        items.extend(std::iter::from_fn(|| decoder.next_item()));
    }
    (items, decoder.last_event_id().to_owned(), decoder.retry())
}

// Strategies

fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        3 => any::<char>(),
        2 => prop_oneof![Just('\n'), Just('\r'), Just('\0')],
        1 => prop_oneof![Just('\u{feff}'), Just(' '), Just(':'), Just('a')],
    ];
    vec(char, 0..12).prop_map(String::from_iter)
}

/// Mostly legal names and ids, because an illegal one makes the whole event invalid.
fn name_or_id() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => text(),
        6 => text().prop_map(|text| text.replace(['\n', '\r', '\0'], "")),
    ]
}

#[derive(Clone, Debug)]
struct Fields {
    data: Option<String>,
    name: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    comment: Option<String>,
}

fn fields() -> impl Strategy<Value = Fields> {
    (
        option::of(text()),
        option::of(name_or_id()),
        option::of(name_or_id()),
        option::of(prop_oneof![Just(0), any::<u64>()]),
        option::of(text()),
    )
        .prop_map(|(data, name, id, retry, comment)| Fields {
            data,
            name,
            id,
            retry,
            comment,
        })
}

fn stream_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop_oneof![Just(b"\n".to_vec()), Just(b"\r".to_vec()), Just(b"\r\n".to_vec())],
        4 => prop_oneof![
            Just(b"data".to_vec()),
            Just(b"event".to_vec()),
            Just(b"id".to_vec()),
            Just(b"retry".to_vec()),
        ],
        4 => prop_oneof![Just(b":".to_vec()), Just(b": ".to_vec()), Just(b" ".to_vec())],
        2 => prop_oneof![Just(b"\xEF\xBB\xBF".to_vec()), Just(b"\0".to_vec()), Just("€".into())],
        2 => "[0-9]{1,25}".prop_map(String::into_bytes),
        3 => vec(any::<u8>(), 0..4),
    ];
    (any::<bool>(), vec(piece, 0..40)).prop_map(|(bom, pieces)| {
        let start: &[u8] = if bom { b"\xEF\xBB\xBF" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

/// Cuts `bytes` into chunks of the given sizes, which are repeated. A size of 0 gives an empty chunk.
fn cut<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes {
        let (chunk, rest) = bytes.split_at((*size).min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks.push(bytes);
    chunks
}

// The event that a client should decode

impl Fields {
    fn event(&self) -> SseEvent {
        let mut event = self
            .data
            .as_ref()
            .map_or_else(SseEvent::default, SseEvent::text);
        if let Some(name) = &self.name {
            event = event.event(name);
        }
        if let Some(id) = &self.id {
            event = event.id(id);
        }
        if let Some(retry) = self.retry {
            event = event.retry(Duration::from_millis(retry));
        }
        if let Some(comment) = &self.comment {
            event = event.comment(comment);
        }
        event
    }

    fn error(&self) -> Option<EventError> {
        let bad = |field: &Option<String>, chars: &[char]| {
            field.clone().filter(|value| value.contains(chars))
        };
        if let Some(name) = bad(&self.name, &['\r', '\n']) {
            return Some(EventError::InvalidName(name));
        }
        if let Some(id) = bad(&self.id, &['\r', '\n', '\0']) {
            return Some(EventError::InvalidId(id));
        }
        let empty = self.data.is_none()
            && self.name.is_none()
            && self.id.is_none()
            && self.retry.is_none()
            && self.comment.is_none();
        empty.then_some(EventError::Empty)
    }

    fn expect(&self, (items, id, retry): &mut Observed, has_own_id: &mut bool) {
        if let Some(comment) = &self.comment {
            let lines = normal(comment);
            items.extend(lines.split('\n').map(|line| Decoded::Comment(line.into())));
        }
        if let Some(millis) = self.retry {
            *retry = Some(Duration::from_millis(millis));
            items.extend(retry.map(Decoded::Retry));
        }
        if let Some(new) = &self.id {
            id.clone_from(new);
            *has_own_id = true;
        }
        if let Some(data) = &self.data {
            let name = self.name.clone().filter(|name| !name.is_empty());
            items.push(Decoded::Event(DecodedEvent {
                event: name.unwrap_or_else(|| "message".into()),
                data: normal(data),
                id: id.clone(),
                has_own_id: mem::take(has_own_id),
            }));
        }
    }
}

fn normal(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

// The specification, followed naively over the whole stream

/// WHATWG HTML section 9.2.6, paragraph by paragraph.
fn reference(bytes: &[u8]) -> Observed {
    let stream = String::from_utf8_lossy(bytes);
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(&stream);
    let mut lines: Vec<String> = normal(stream).split('\n').map(String::from).collect();
    lines.pop(); // text without a line end is not a line

    let (mut items, mut last_event_id, mut reconnection_time) = (vec![], String::new(), None);
    let mut has_own_id = false;
    let (mut data, mut event_type, mut id) = (String::new(), String::new(), String::new());
    for line in lines {
        if line.is_empty() {
            last_event_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n') {
                let message = "message".to_owned();
                items.push(Decoded::Event(DecodedEvent {
                    event: Some(event_type)
                        .filter(|t| !t.is_empty())
                        .unwrap_or(message),
                    data: data.to_owned(),
                    id: id.clone(),
                    has_own_id: mem::take(&mut has_own_id),
                }));
            }
            (data, event_type) = (String::new(), String::new());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if line.starts_with(':') {
            items.push(Decoded::Comment(value.into()));
        } else if field == "event" {
            event_type = value.into();
        } else if field == "data" {
            data = data + value + "\n";
        } else if field == "id" && !value.contains('\0') {
            id = value.into();
            has_own_id = true;
        } else if field == "retry" && !value.is_empty() && value.chars().all(|c| c.is_ascii_digit())
        {
            let digits = value.trim_start_matches('0');
            let millis = match digits.len() {
                0 => 0,
                1..=19 => digits.parse().expect("19 digits fit"),
                _ => digits.parse().unwrap_or(u64::MAX),
            };
            reconnection_time = Some(Duration::from_millis(millis));
            items.extend(reconnection_time.map(Decoded::Retry));
        }
    }
    (items, last_event_id, reconnection_time)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_encoded_is_what_is_decoded(fields in fields()) {
        match (encode(&fields.event()), fields.error()) {
            (Ok(bytes), None) => {
                let mut expected = Observed::default();
                fields.expect(&mut expected, &mut false);
                prop_assert_eq!(observe([&*bytes]), expected);
            }
            (result, error) => prop_assert_eq!(result.err(), error),
        }
    }

    #[test]
    fn events_in_a_row_stay_apart(sequence in vec(fields(), 0..8)) {
        let mut buffer = bytes::BytesMut::new();
        let (mut expected, mut has_own_id) = (Observed::default(), false);
        for fields in &sequence {
            let length = buffer.len();
            if encode_into(&fields.event(), &mut buffer).is_ok() {
                fields.expect(&mut expected, &mut has_own_id);
            } else {
                prop_assert!(fields.error().is_some());
                prop_assert_eq!(buffer.len(), length);
            }
        }
        prop_assert_eq!(observe([&*buffer]), expected);
    }

    #[test]
    fn chunking_does_not_matter(bytes in stream_bytes(), sizes in vec(0_usize..5, 0..60)) {
        let whole = observe([&*bytes]);
        prop_assert_eq!(&observe(cut(&bytes, &sizes)), &whole);
        prop_assert_eq!(&observe(bytes.chunks(1)), &whole);
    }

    #[test]
    fn chunking_does_not_matter_at_the_limit(
        bytes in stream_bytes(),
        sizes in vec(0_usize..5, 0..60),
        limit in 0_usize..40,
    ) {
        let run = |chunks: Vec<&[u8]>| {
            let mut decoder = Decoder::with_limit(limit);
            let result = chunks.into_iter().try_for_each(|chunk| decoder.feed(chunk));
            let items: Vec<_> = std::iter::from_fn(|| decoder.next_item()).collect();
            (result, items, decoder.last_event_id().to_owned(), decoder.retry())
        };
        prop_assert_eq!(run(cut(&bytes, &sizes)), run(vec![&bytes]));
    }

    #[test]
    fn decoder_agrees_with_the_specification(bytes in stream_bytes()) {
        prop_assert_eq!(observe([&*bytes]), reference(&bytes));
    }

    #[test]
    fn decoder_agrees_with_the_specification_on_noise(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(observe([&*bytes]), reference(&bytes));
    }
}

#[test]
fn feeding_byte_by_byte_takes_linear_time() {
    let mut decoder = Decoder::new();
    let id = "i".repeat(8_000);
    decoder.feed(format!("id: {id}\n").as_bytes()).unwrap();
    for _ in 0..50_000 {
        decoder.feed(b"data\n\n").unwrap(); // this would copy 400 MB if each event kept its own id
    }
    let data = b"data: ".iter().chain([b'x'; 1_000_000].iter());
    for byte in data {
        decoder.feed(std::slice::from_ref(byte)).unwrap();
    }
    decoder.feed(b"\n\n").unwrap();
    assert_eq!(decoder.last_event_id(), id);
}
