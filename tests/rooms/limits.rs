//! Limits on the number of connections, in total and by client.

use std::net::Ipv4Addr;

use helios::prelude::*;
use helios::sse::{ConnectionLimits, Decoded, Overload, ProxyHeader};
use helios::testing::TestApp;
use http::Method;

use super::app::{in_process, path};
use support::journal::Journal;
use support::{Answer, SseClient, TestServer, eventually};

/// All the ways in which a connection ends.
#[derive(Injectable)]
struct Ways {
    journal: Arc<Journal>,
}

#[controller(prefix = "w")]
impl Ways {
    #[get("plain")]
    fn plain(&self) -> &'static str {
        "always"
    }

    #[sse("live")]
    fn live(&self) -> SseStream {
        self.journal.note("called");
        SseStream::new()
    }

    #[sse("completes")]
    fn completes(&self) -> impl Stream<Item = &'static str> {
        stream! { yield "only one"; }
    }

    #[sse("fails")]
    async fn fails(&self) -> Result<SseStream, HttpError> {
        Err(HttpError::not_found("nothing here"))
    }

    #[sse("fails-later")]
    fn fails_later(&self) -> impl Stream<Item = Result<&'static str, HttpError>> {
        stream! {
            yield Ok("one");
            yield Err(HttpError::gone("no more"));
        }
    }

    #[sse("panics")]
    async fn panics(&self) -> SseStream {
        panic!("in the handler");
    }

    #[sse("panics-later")]
    fn panics_later(&self) -> impl Stream<Item = &'static str> {
        stream! {
            yield "one";
            panic!("in the stream");
        }
    }

    #[sse("never-opens")]
    async fn never_opens(&self) -> SseStream {
        self.journal.note("never opens");
        std::future::pending().await
    }

    #[sse("bound/{number}")]
    fn bound(&self, #[param] number: u64) -> impl Stream<Item = String> {
        stream! { yield number.to_string(); }
    }

    #[on_sse_connection]
    fn opened(&self, #[query] refuse: bool) -> Result<(), HttpError> {
        match refuse {
            true => Err(HttpError::forbidden("refused by the hook")),
            false => Ok(()),
        }
    }

    #[on_sse_close]
    fn closed(&self) {
        self.journal.note("closed");
    }
}

#[server(controllers = [Ways], sse(enabled = true))]
struct App;

fn app(change: impl FnOnce(&mut ConnectionLimits)) -> (Helios, Journal) {
    let journal = Journal::default();
    let app = Helios::new(App).provide(journal.clone());
    (app.sse_options(|sse| change(&mut sse.connections)), journal)
}

async fn server(change: impl FnOnce(&mut ConnectionLimits)) -> (TestServer, Journal) {
    let (app, journal) = app(change);
    (TestServer::start(app).await, journal)
}

const LIVE: &str = "/w/live?refuse=false";

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn open(server: &TestServer, headers: Headers<'_>) -> SseClient {
    server.sse_with(Method::GET, LIVE, headers, "").await
}

/// Returns a connection, if there is room for it.
async fn admitted(server: &TestServer, headers: Headers<'_>) -> Option<SseClient> {
    let before = server.sse.stats().connections;
    let mut client = open(server, headers).await;
    if server.sse.stats().connections == before {
        assert_eq!(client.names().await, ["helios:overloaded"]);
        return None;
    }
    Some(client)
}

#[tokio::test]
async fn one_connection_too_many_has_to_come_back_later() {
    let (server, journal) = server(|limits| limits.total = 2).await;
    let _clients = [open(&server, &[]).await, open(&server, &[]).await];
    server.wait_for_connections(2).await;
    let mut refused = open(&server, &[]).await;
    assert_eq!(refused.headers["content-type"], "text/event-stream");
    assert_eq!(refused.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(
        refused.next_item().await,
        Some(Decoded::Comment(String::new()))
    );
    let Some(Decoded::Retry(retry)) = refused.next_item().await else {
        panic!("{}", refused.text());
    };
    assert!((10_000..=15_000).contains(&retry.as_millis()), "{retry:?}");
    let event = refused.next().await.unwrap();
    assert_eq!(
        (event.event.as_str(), event.id.as_str()),
        ("helios:overloaded", "")
    );
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(data, json!({ "retry": retry.as_millis() as u64 }));
    assert!(refused.next().await.is_none());
    assert_eq!(
        journal.notes(),
        ["called"; 2],
        "no method or hook has seen it"
    );
    assert_eq!(server.sse.stats().connections, 2);
}

/// Some clients take an event without an id to mean that the last id is void.
#[tokio::test]
async fn who_is_one_too_many_keeps_its_place() {
    let (server, _) = server(|limits| limits.total = 0).await;
    let mut refused = open(&server, &[("last-event-id", "9e-7")]).await;
    assert_eq!(refused.next().await.unwrap().id, "9e-7");
    assert!(refused.text().contains("\nid: 9e-7\n"));

    let injected = format!("{LIVE}&lastEventId=9e-7%0Adata:%20mine");
    let mut refused = server.sse(&injected).await;
    assert_eq!(refused.next().await.unwrap().event, "helios:overloaded");
    assert!(!refused.text().contains("mine"), "{}", refused.text());
}

#[tokio::test]
async fn one_connection_too_many_gets_a_status_if_configured() {
    let (server, _) = server(|limits| {
        limits.total = 0;
        limits.retry = Duration::from_secs(20);
        limits.answer = Overload::Status(StatusCode::TOO_MANY_REQUESTS);
    })
    .await;
    let answer = server.get(LIVE).await;
    assert_eq!(answer.status, 429);
    let after: u64 = answer.header("retry-after").parse().unwrap();
    assert!((20..=30).contains(&after), "{after}");
}

#[tokio::test]
async fn what_is_no_stream_takes_no_place() {
    let (server, _) = server(|limits| limits.total = 0).await;
    assert_eq!(server.get("/w/plain").await.text(), "always");
    let head = server.send(Method::HEAD, LIVE, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let end = [("last-event-id", helios::sse::END_MARK)];
    let finished: Answer = server.send(Method::GET, LIVE, &end, "").await;
    assert_eq!(finished.status, 204);
}

#[tokio::test]
async fn a_place_is_free_again_however_its_connection_ended() {
    let (server, _) = server(|limits| limits.total = 1).await;
    let statuses = [
        ("/w/fails", 404),
        ("/w/panics", 500),
        ("/w/bound/not-a-number", 400),
        ("/w/live?refuse=true", 403),
    ];
    for (path, status) in statuses {
        assert_eq!(server.get(path).await.status, status);
    }
    let ends = [
        ("/w/completes", "helios:end"),
        ("/w/fails-later", "error"),
        ("/w/panics-later", "error"),
    ];
    for (path, last) in ends {
        let path = format!("{path}?refuse=false");
        let mut client = server.sse(&path).await;
        assert_eq!(client.names().await, ["message", last], "{path}");
    }
    for _ in 0..3 {
        let client = admitted(&server, &[]).await.unwrap();
        assert!(admitted(&server, &[]).await.is_none());
        drop(client);
        server.wait_for_connections(0).await;
    }
    let mut client = admitted(&server, &[]).await.unwrap();
    server.sse.clients()[0].close();
    assert_eq!(client.names().await, ["helios:end"]);
    admitted(&server, &[]).await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_early_gives_its_place_back() {
    let (server, journal) = server(|limits| limits.total = 1).await;
    let request = "GET /w/never-opens HTTP/1.1\r\nhost: x\r\n\r\n";
    let socket = server.raw(request).await;
    journal.wait_for("never opens").await;
    assert!(admitted(&server, &[]).await.is_none());
    drop(socket);
    let mut client = None;
    while client.is_none() {
        client = admitted(&server, &[]).await;
    }
    assert_eq!(
        journal.notes(),
        ["never opens", "called"],
        "no hook has run"
    );
}

#[tokio::test]
async fn an_address_is_limited_and_untrusted_headers_change_nothing() {
    let (server, _) = server(|limits| limits.per_address = Some(2)).await;
    let spoofed = [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
    ];
    let first = admitted(&server, &[]).await.unwrap();
    let _second = admitted(&server, &spoofed).await.unwrap();
    assert!(admitted(&server, &[]).await.is_none());
    assert!(admitted(&server, &spoofed).await.is_none());
    drop(first);
    server.wait_for_connections(1).await;
    admitted(&server, &[]).await.unwrap();
}

/// Checks that each client that the proxy names at the loopback address may have one connection.
async fn behind_a_proxy(header: ProxyHeader, name: &str, element: fn(&str) -> String) {
    let (server, _) = server(|limits| {
        limits.per_address = Some(1);
        limits.trusted_proxies = vec![
            "127.0.0.0/8".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ];
        limits.proxy_header = header;
    })
    .await;
    let hops = |hops: &[&str]| {
        let elements: Vec<_> = hops.iter().map(|hop| element(hop)).collect();
        elements.join(", ")
    };
    let mut clients = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1"] {
        let through = hops(&[client]);
        clients.push(admitted(&server, &[(name, &through)]).await.unwrap());
        let refused = [
            through,
            hops(&[client, "10.0.0.7"]),
            hops(&["198.51.100.9", client]),
            hops(&["198.51.100.9", client, "10.0.0.7", "10.1.1.1"]),
        ];
        for refused in &refused {
            assert!(
                admitted(&server, &[(name, refused)]).await.is_none(),
                "{refused}"
            );
        }
    }
    let neighbour = hops(&["2001:db8:0:1:ffff::2"]);
    assert!(
        admitted(&server, &[(name, &neighbour)]).await.is_none(),
        "one /64 network"
    );
    let other_header = match header {
        ProxyHeader::Forwarded => ("x-forwarded-for", "192.0.2.9"),
        _ => ("forwarded", "for=192.0.2.9"),
    };
    clients.push(admitted(&server, &[other_header]).await.unwrap());
    assert!(
        admitted(&server, &[]).await.is_none(),
        "it was the proxy's own"
    );
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_address_in_x_forwarded_for() {
    behind_a_proxy(ProxyHeader::XForwardedFor, "x-forwarded-for", str::to_owned).await;
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_address_in_forwarded() {
    behind_a_proxy(ProxyHeader::Forwarded, "forwarded", |hop| {
        match hop.contains(':') {
            true => format!("for=\"[{hop}]:4711\";proto=https"),
            false => format!("by=10.0.0.1;for={hop}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_is_limited_and_anonymous_clients_are_not() {
    let (server, _) = server(|limits| {
        limits.per_user = Some(2);
        limits.user = Some(Arc::new(|request| {
            request.header("x-user").map(str::to_owned)
        }));
    })
    .await;
    let ann: Headers<'_> = &[("x-user", "ann")];
    let first = admitted(&server, ann).await.unwrap();
    let _second = admitted(&server, ann).await.unwrap();
    assert!(admitted(&server, ann).await.is_none());
    let _bob = admitted(&server, &[("x-user", "bob")]).await.unwrap();
    let mut nobody = Vec::new();
    for _ in 0..5 {
        nobody.push(admitted(&server, &[]).await.unwrap());
    }
    drop(first);
    server.wait_for_connections(7).await;
    admitted(&server, ann).await.unwrap();
}

#[tokio::test]
async fn a_refusal_for_the_user_does_not_count_against_addresses() {
    let (server, _) = server(|limits| {
        limits.per_address = Some(2);
        limits.per_user = Some(1);
        limits.user = Some(Arc::new(|request| {
            request.header("x-user").map(str::to_owned)
        }));
    })
    .await;
    let _ann = admitted(&server, &[("x-user", "ann")]).await.unwrap();
    for _ in 0..5 {
        assert!(admitted(&server, &[("x-user", "ann")]).await.is_none());
    }
    let _bob = admitted(&server, &[("x-user", "bob")]).await.unwrap();
    assert!(admitted(&server, &[("x-user", "eve")]).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn so_many_new_connections_a_second_and_no_more() {
    let (app, _) = app(|limits| limits.per_second = Some(3.0));
    let app = TestApp::start(app).unwrap();
    let mut clients = Vec::new();
    let mut admitted = async |tries| {
        let before = app.sse_service().stats().connections;
        for _ in 0..tries {
            clients.push(app.sse(LIVE).await);
        }
        app.sse_service().stats().connections - before
    };
    assert_eq!(admitted(10).await, 3);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(admitted(5).await, 0);
    sleep(Duration::from_millis(350)).await;
    assert_eq!(admitted(5).await, 1);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(admitted(10).await, 3, "what was not used is not saved up");
}

#[tokio::test]
async fn a_limit_by_address_counts_each_interface_on_its_own() {
    let (server, _) = server(|limits| limits.per_address = Some(1)).await;
    let from = async |last| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind((Ipv4Addr::new(127, 0, 0, last), 0).into())
            .unwrap();
        let mut socket = socket.connect(server.addr).await.unwrap();
        let request = format!("GET {LIVE} HTTP/1.1\r\nhost: x\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes())
            .await
            .unwrap();
        socket
    };
    let _clients = [from(2).await, from(3).await, from(2).await];
    eventually(|| server.sse.stats().connections == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_over_its_own_limit_spends_no_shared_rate() {
    let (app, _) = in_process(|sse| {
        sse.connections.per_second = Some(1.0);
        sse.connections.per_user = Some(1);
        sse.connections.user = Some(Arc::new(|r| r.header("x-user").map(str::to_owned)));
    });
    let mut alice = app.sse(&path(&["x"])).header("x-user", "alice").await;
    assert_eq!(alice.next().await.unwrap().event, "helios:ready");
    tokio::time::advance(Duration::from_secs(2)).await;
    let mut again = app.sse(&path(&["x"])).header("x-user", "alice").await;
    assert_eq!(again.next().await.unwrap().event, "helios:overloaded");
    let mut bob = app.sse(&path(&["x"])).header("x-user", "bob").await;
    assert_eq!(bob.next().await.unwrap().event, "helios:ready");
}
