//! Checks that must hold through every proxy.

use std::net::IpAddr;
use std::process::Stdio;

use futures_util::{SinkExt, StreamExt};
use helios::prelude::*;
use helios::sse::{Overload, SseOptions};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::app::{AS_A_BROWSER, Site, ask, ask_from, join, open};
pub(super) use super::browser::ten_streams_of_a_page_survive_a_restart;
use super::process::{Kind, Proxy, Setup};
use support::network::{cut, network};
use support::{SseClient, within};

/// Creates a test for each check with this proxy. Some checks hold for all proxies, others do not.
macro_rules! through {
    ($proxy:ident $(, $check:ident)*) => {
        mod through {
            $crate::proxies::checks::tests! { $proxy:
                $($check)*
                events_arrive_one_by_one
                compressed_events_arrive_one_by_one
                keep_alive_outlasts_the_proxys_patience
                a_client_that_leaves_is_noticed_when_it_is_written_to
                a_client_that_comes_back_misses_nothing
                a_drain_is_announced
                a_restart_is_survived
                a_stream_that_is_cut_behind_the_proxy_misses_nothing
                a_page_of_another_origin_may_read_the_answer_for_the_app
                what_the_app_answers_is_left_alone
                a_browser_would_be_told_an_error
                a_websocket_is_passed_on_and_told_of_a_shutdown
                ten_streams_of_a_page_survive_a_restart
                clients_are_told_apart
            }
        }
    };
}

macro_rules! tests {
    ($proxy:ident: $($check:ident)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs a proxy; `cargo xtask test` runs it"]
            async fn $check() {
                $crate::proxies::checks::$check(&super::$proxy).await;
            }
        )*
    };
}
pub(super) use {tests, through};

/// Turns off keep-alive, so that no later bytes push an event through a proxy.
fn silent(sse: &mut SseOptions) {
    sse.keep_alive = None;
}

fn talkative(sse: &mut SseOptions) {
    sse.keep_alive = Some(Duration::from_millis(250));
}

pub(super) async fn events_arrive_one_by_one(kind: &Kind) {
    let site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    let mut client = join(proxy.addr).await;
    // If each were held back for 200 ms, they would not arrive in time.
    within(async {
        for n in 0..150 {
            site.publish(n.to_string()).await;
            assert_eq!(client.next().await.unwrap().data, n.to_string());
        }
    })
    .await;
}

pub(super) async fn compressed_events_arrive_one_by_one(kind: &Kind) {
    let site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::Gzip).await;
    let mut curl = Command::new("curl")
        .args(["--silent", "--no-buffer", "--compressed"])
        .args([
            "--header",
            "accept: text/event-stream",
            &format!("http://{}/news", proxy.addr),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let mut seen = async |line: &str| {
        within(async { while lines.next_line().await.unwrap().unwrap() != line {} }).await;
    };
    seen("event: helios:ready").await;
    for n in 0..20 {
        site.publish(n.to_string()).await;
        seen(&format!("data: {n}")).await;
    }
}

pub(super) async fn keep_alive_outlasts_the_proxys_patience(kind: &Kind) {
    let setup = Setup::Impatient;

    let site = Site::new(silent).await;
    let proxy = kind.start(site.addr, setup).await;
    let mut cut = join(proxy.addr).await;
    assert!(cut.next().await.is_none(), "without keep-alive it is cut");
    site.journal.wait_for("client_disconnected").await;

    let site = Site::new(talkative).await;
    let proxy = kind.start(site.addr, setup).await;
    let mut client = join(proxy.addr).await;
    let start = client.raw.len();
    // Twelve times 250 ms of silence, which is three times what the proxy tolerates.
    while client.raw[start..]
        .iter()
        .filter(|byte| **byte == b':')
        .count()
        < 12
    {
        client.read().await.expect("it is held open");
    }
    site.publish("still here").await;
    assert_eq!(client.next().await.unwrap().data, "still here");
}

pub(super) async fn a_client_that_leaves_is_noticed_when_it_is_written_to(kind: &Kind) {
    client_leaves(kind, talkative).await;
}

/// With HAProxy, the server would not notice before.
pub(super) async fn a_client_that_leaves_is_noticed_at_once(kind: &Kind) {
    client_leaves(kind, silent).await;
}

async fn client_leaves(kind: &Kind, options: fn(&mut SseOptions)) {
    let site = Site::new(options).await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    drop(join(proxy.addr).await);
    site.journal.wait_for("client_disconnected").await;
}

pub(super) async fn a_client_that_comes_back_misses_nothing(kind: &Kind) {
    let site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    let mut client = join(proxy.addr).await;
    site.publish("seen").await;
    let seen = client.next().await.unwrap();
    drop(client);
    site.publish("missed").await;

    comes_back(&proxy, &seen.id).await;
}

pub(super) async fn a_stream_that_is_cut_behind_the_proxy_misses_nothing(kind: &Kind) {
    let site = Site::new(silent).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = port.local_addr().unwrap();
    let wire = tokio::spawn(network(port, site.addr));
    let proxy = kind.start(door, Setup::Plain).await;
    let mut client = join(proxy.addr).await;
    site.publish("seen").await;
    let seen = client.next().await.unwrap();

    cut(wire).await;
    assert!(client.next().await.is_none());
    site.publish("missed").await;
    let port = TcpListener::bind(door).await.unwrap();
    let _wire = tokio::spawn(network(port, site.addr));
    comes_back(&proxy, &seen.id).await;
}

pub(super) async fn comes_back(proxy: &Proxy, last_id: &str) {
    let mut client = open(proxy.addr, &[("last-event-id", last_id)]).await;
    let ready = client.next().await.unwrap();
    assert!(ready.data.contains(r#""resumed":true"#), "{ready:?}");
    assert_eq!(client.next().await.unwrap().data, "missed");
}

pub(super) async fn a_drain_is_announced(kind: &Kind) {
    let mut site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    let mut client = join(proxy.addr).await;
    site.publish("last").await;
    site.stop().await;
    assert_eq!(client.names().await, ["message", "helios:reconnect"]);
}

pub(super) async fn a_restart_is_survived(kind: &Kind) {
    let mut site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    let mut client = join(proxy.addr).await;
    site.publish("seen").await;
    let seen = client.next().await.unwrap();
    site.stop().await;

    let mut waits = open(proxy.addr, &[("last-event-id", &seen.id)]).await;
    assert_eq!(waits.headers["content-type"], "text/event-stream");
    assert_eq!(waits.names().await, ["helios:overloaded"]);
    assert!(waits.text().contains("retry: 3000\n"));
    let other = ask(proxy.addr, &[("accept", "text/html")]).await;
    assert!(other.status().is_server_error(), "{}", other.status());

    site.start().await;
    let mut client = open(proxy.addr, &[("last-event-id", &seen.id)]).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let reset = client.next().await.unwrap();
    assert_eq!(reset.event, "helios:reset");
    assert!(reset.data.contains(r#""reason":"epoch""#), "{reset:?}");
}

pub(super) async fn a_page_of_another_origin_may_read_the_answer_for_the_app(kind: &Kind) {
    let mut site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::CrossOrigin).await;
    site.stop().await;
    let response = ask(proxy.addr, &[AS_A_BROWSER]).await;
    let headers = response.headers();
    assert_eq!(response.status(), 200);
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://app.example"
    );
    assert_eq!(headers["access-control-allow-credentials"], "true");
}

/// Without the configured response, browsers would get an error and stop.
pub(super) async fn a_browser_would_be_told_an_error(kind: &Kind) {
    let mut site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::Bare).await;
    site.stop().await;
    let status = ask(proxy.addr, &[AS_A_BROWSER]).await.status();
    assert!(status.is_server_error(), "{status}");
}

pub(super) async fn what_the_app_answers_is_left_alone(kind: &Kind) {
    let site = Site::new(|sse| {
        sse.connections.total = 0;
        sse.connections.answer = Overload::Status(StatusCode::SERVICE_UNAVAILABLE);
    })
    .await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    let response = ask(proxy.addr, &[AS_A_BROWSER]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
}

pub(super) async fn a_websocket_is_passed_on_and_told_of_a_shutdown(kind: &Kind) {
    let mut site = Site::new(silent).await;
    let proxy = kind.start(site.addr, Setup::WebSocket).await;
    let socket = TcpStream::connect(proxy.addr).await.unwrap();
    let mut request = format!("ws://{}/news/socket", proxy.addr)
        .into_client_request()
        .unwrap();
    // The guard's information about the connection has to come through too.
    let origin = format!("http://{}", proxy.addr).parse().unwrap();
    request.headers_mut().insert("origin", origin);
    let (mut socket, _) = within(client_async(request, socket)).await.unwrap();
    for text in ["hello", &"x".repeat(100_000)] {
        socket.send(Message::text(text)).await.unwrap();
        let echo = within(socket.next()).await.unwrap().unwrap();
        assert_eq!(echo, Message::text(text));
    }
    let (told, ()) = tokio::join!(within(socket.next()), site.stop());
    let away = CloseCode::Away;
    assert!(
        matches!(&told, Some(Ok(Message::Close(Some(frame)))) if frame.code == away),
        "{told:?}"
    );
}

pub(super) async fn clients_are_told_apart(kind: &Kind) {
    let site = Site::new(|sse| {
        sse.connections.per_address = Some(1);
        sse.connections.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let proxy = kind.start(site.addr, Setup::Plain).await;
    let mut streams = Vec::new();
    let mut first_event = async |address: &str, claim: &str| {
        let address: IpAddr = address.parse().unwrap();
        let headers = [AS_A_BROWSER, ("x-forwarded-for", claim)];
        let response = ask_from(address, proxy.addr, &headers).await;
        let mut client = SseClient::of(response);
        let name = client.next().await.unwrap().event;
        streams.push(client);
        name
    };
    assert_eq!(first_event("127.0.0.2", "127.0.0.2").await, "helios:ready");
    assert_eq!(first_event("127.0.0.3", "127.0.0.2").await, "helios:ready");
    // No matter what the client claims itself.
    assert_eq!(
        first_event("127.0.0.2", "192.0.2.1").await,
        "helios:overloaded"
    );
}
