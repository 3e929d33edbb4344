//! Options that show on the wire.

use helios::prelude::*;
use helios::sse::{Decoded, Drain};
use helios::testing::TestApp;
use support::TestServer;
use support::journal::Journal;

use super::app::Streams;

#[server(controllers = [Streams], sse(enabled = true, keep_alive = "500ms", retry = "2s", welcome = true, control_prefix = "ctl."))]
struct Tuned;

#[tokio::test(start_paused = true)]
async fn a_comment_follows_silence_instead_of_a_fixed_beat() {
    let app = Helios::new(Tuned).provide(Journal::default());
    let sse = app.sse();
    let app = TestApp::start(app).unwrap();
    let mut stream = app.sse("/s/service").await;
    while stream.next().await.unwrap().data != "hello" {}
    let start = tokio::time::Instant::now();
    sleep(Duration::from_millis(400)).await;
    sse.broadcast("x").await.unwrap();
    assert_eq!(stream.next().await.unwrap().data, "x");
    assert_eq!(
        stream.next_item().await,
        Some(Decoded::Comment(String::new()))
    );
    let silence = start.elapsed();
    assert!((850..1_100).contains(&silence.as_millis()), "{silence:?}");
    assert_eq!(
        stream.next_item().await,
        Some(Decoded::Comment(String::new()))
    );
}

#[tokio::test]
async fn welcome_retry_and_prefix_are_as_set() {
    let server = TestServer::start(Helios::new(Tuned).provide(Journal::default())).await;
    let mut client = server.sse("/s/closes").await;
    assert_eq!(client.names().await, ["welcome", "message", "ctl.end"]);
    let text = client.text();
    assert!(
        text.starts_with(":\nretry: 2000\nevent: welcome\ndata: {\"uuid\":\""),
        "{text}"
    );
}

#[derive(Injectable)]
struct Answers;

#[controller(prefix = "a")]
impl Answers {
    #[sse("page", keep_alive = false, retry = "1s", restart)]
    fn page(&self) -> SseStream {
        SseStream::new()
    }

    #[sse(
        "post",
        method = "POST",
        head_after = "2s",
        on_error = "event",
        overload = 429
    )]
    fn post(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("plain", plain, drain = "reconnect")]
    fn plain(&self) -> SseStream {
        SseStream::new()
    }
}

#[server(controllers = [Answers], sse(enabled = true))]
struct Answering;

#[test]
fn the_route_table_shows_what_differs_from_the_defaults() {
    let service = Helios::new(Answering).into_service().unwrap();
    let shown = service.routes().to_string();
    let options: Vec<_> = shown
        .lines()
        .filter_map(|line| line.split_once("sse   "))
        .map(|(_, options)| options)
        .collect();
    assert_eq!(
        options,
        [
            "restart, retry = 1s, keep_alive = false",
            "plain, overload = 503, on_error = break_off",
            "plain, drain = finish, head_after = 2s, overload = 429",
        ]
    );
}

#[test]
fn a_route_takes_from_the_server_what_it_leaves_open() {
    let app = Helios::new(Answering).sse_options(|sse| {
        sse.retry = Duration::from_secs(9);
        sse.drain = Some(Drain::Finish);
        sse.plain = Some(false);
    });
    let service = app.into_service().unwrap();
    let of = |path: &str| {
        let route = service.routes().0.iter().find(|route| route.path == path);
        route.unwrap().stream.clone().unwrap()
    };
    let (page, post) = (of("/a/page"), of("/a/post"));
    assert_eq!(
        (page.retry, page.drain),
        (Duration::from_secs(1), Drain::Finish)
    );
    assert_eq!((post.retry, post.plain), (Duration::from_secs(9), false));
    assert!(of("/a/plain").plain);
}

#[derive(Injectable)]
struct Mistaken;

#[controller(prefix = "m")]
impl Mistaken {
    #[sse("again", plain)]
    fn again(&self) -> impl Stream<Item = SseEvent> {
        stream! { yield SseEvent::text("again and again") }
    }

    #[sse("produced", plain)]
    async fn produced(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("again and again").await
    }

    #[sse("retry", method = "POST", retry = "1s")]
    fn retry(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("event", method = "POST", overload = "event")]
    fn event(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("short", keep_alive = "1ms")]
    fn short(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("long", head_after = "25h")]
    fn long(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("right", plain, restart)]
    fn right(&self) -> impl Stream<Item = SseEvent> {
        stream! { yield SseEvent::text("as is wanted") }
    }
}

#[server(controllers = [Mistaken], sse(enabled = true))]
struct Wrong;

#[test]
fn contradictory_options_are_refused_with_advice_at_start_up() {
    let error = Helios::new(Wrong).into_service().err().unwrap().to_string();
    let faults: Vec<_> = error.lines().skip(1).collect();
    let expected = [
        ("again", "write `restart`"),
        ("produced", "write `restart`"),
        ("retry", "writes no `retry`"),
        ("event", "`overload = 503`"),
        ("short", "`keep_alive` is 10 ms at least"),
        ("long", "`head_after` is a day at the most"),
    ];
    assert_eq!(faults.len(), expected.len(), "{error}");
    for (fault, (handler, what)) in faults.iter().zip(expected) {
        let place = format!("`Mistaken::{handler}` cannot stream as it is set: ");
        assert!(fault.contains(&place) && fault.contains(what), "{fault}");
    }
}
