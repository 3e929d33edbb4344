//! Events that a Rust client reads back into their enum.

use helios::prelude::*;
use helios::sse::{Decoded, DecodedEvent, Decoder, TryFromEventError, encode};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    text: String,
}

#[derive(Clone, Debug, PartialEq, SseEvents)]
#[sse(rename_all = "kebab-case")]
enum Chat<T> {
    Said(Line),
    Typing {
        by: String,
        since: Option<u32>,
        r#in: T,
    },
    Moved(u8, T),
    Left(),
    #[sse(rename = "gone")]
    Cleared,
    Error {},
}

/// It can be sent, although it cannot be read back.
#[derive(SseEvents)]
enum Sent<'a> {
    Named(&'a str),
    Made(OnlySent),
}

#[derive(Serialize)]
struct OnlySent;

fn received(event: &str, data: &str) -> DecodedEvent {
    DecodedEvent {
        event: event.to_owned(),
        data: data.to_owned(),
        ..DecodedEvent::default()
    }
}

/// Sends an event through a decoder.
fn over_the_wire(event: SseEvent) -> DecodedEvent {
    let mut decoder = Decoder::new();
    decoder.feed(&encode(&event).unwrap()).unwrap();
    let Some(Decoded::Event(event)) = decoder.next_item() else {
        panic!("an event");
    };
    event
}

/// Numbers that a [`serde_json::Value`] would change.
#[derive(Clone, Debug, PartialEq, SseEvents)]
enum Measured {
    Named { warmth: f32, total: u128 },
    Alone(f32),
}

#[test]
fn a_number_is_the_same_in_every_kind_of_variant() {
    let named = Measured::Named {
        warmth: 0.1,
        total: u128::MAX,
    };
    let event = over_the_wire(named.clone().into_sse_event());
    let expected = format!("{{\"warmth\":0.1,\"total\":{}}}", u128::MAX);
    assert_eq!(event.data, expected);
    assert_eq!(Measured::try_from(event).unwrap(), named);
    let alone = over_the_wire(Measured::Alone(0.1).into_sse_event());
    assert_eq!(alone.data, "0.1");
}

#[test]
fn a_sent_event_is_read_back_as_its_variant() {
    let line = Line {
        text: "hello\nyou".into(),
    };
    let typing = |since| Chat::Typing {
        by: "ann".into(),
        since,
        r#in: 2.5,
    };
    for event in [
        Chat::Said(line),
        typing(None),
        typing(Some(7)),
        Chat::Moved(1, 0.5),
        Chat::Cleared,
        Chat::Error {},
    ] {
        let read = Chat::try_from(over_the_wire(event.clone().into_sse_event()));
        assert_eq!(read.unwrap(), event);
    }
    let sent = [Sent::Named("x"), Sent::Made(OnlySent)].map(IntoSseEvent::into_sse_event);
    assert_eq!(sent[0].data(), Some("\"x\""));
}

#[test]
fn another_event_is_given_back_as_it_came() {
    let end = received("helios:end", "");
    let Err(TryFromEventError::OtherEvent(other)) = Chat::<u8>::try_from(end.clone()) else {
        panic!("it decoded as an event of the enum");
    };
    assert_eq!(other, end);
}

#[test]
fn data_of_another_shape_is_told_by_event_and_field() {
    let told = |event, data| {
        let read = Chat::<u8>::try_from(received(event, data));
        let error = read.unwrap_err();
        assert!(matches!(error, TryFromEventError::Data(_)), "{error:?}");
        error.to_string()
    };
    assert_eq!(
        told("typing", r#"{"since":1,"in":0}"#),
        r#"the event `typing`: its field `by` is missing; its data is {"since":1,"in":0}"#
    );
    let negative = told("typing", r#"{"by":"ann","since":-1,"in":0}"#);
    assert!(
        negative.starts_with("the event `typing`: its field `since`: invalid value"),
        "{negative}"
    );
    let short = told("moved", "[1]");
    assert!(
        short.starts_with("the event `moved`: invalid length 1"),
        "{short}"
    );
    assert!(told("said", "hello").starts_with("the event `said`: expected value"));
    let absent = Chat::<u8>::try_from(received("typing", r#"{"by":"ann","in":0}"#));
    assert_eq!(
        absent.unwrap(),
        Chat::Typing {
            by: "ann".into(),
            since: None,
            r#in: 0
        }
    );
}
