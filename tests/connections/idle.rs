//! An idle connection is closed after a while, and does not delay a shutdown.

use std::time::Instant;

use futures_util::future::join_all;
use helios::prelude::*;
use support::journal::Journal;
use support::{TestServer, read_to_end, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep};

/// The preface of an HTTP/2 client, with an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /gate` as HEADERS that end their stream, with HPACK's static table and literals.
const GET_GATE: &[u8] = b"\0\0\x0c\x01\x05\0\0\0\x01\x82\x86\x04\x05/gate\x41\x01x";

const PATIENCE: Duration = Duration::from_millis(300);

/// Requests wait here until the test lets them go on.
struct Opened(Semaphore);

impl Default for Opened {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

#[derive(Injectable)]
struct Gate {
    opened: Arc<Opened>,
    journal: Arc<Journal>,
}

#[controller(prefix = "gate")]
impl Gate {
    #[get]
    async fn pass(&self) -> &'static str {
        self.journal.note("waits");
        self.opened.0.acquire().await.unwrap().forget();
        "passed"
    }

    #[get("kib/{count}")]
    fn kib(&self, #[param] count: usize) -> String {
        "x".repeat(count << 10)
    }

    #[get("large")]
    fn large(&self) -> String {
        self.journal.note("large");
        "x".repeat(4 << 20)
    }
}

#[server(controllers = [Gate])]
struct App;

struct Started {
    server: TestServer,
    opened: Arc<Opened>,
    journal: Journal,
}

async fn start(header_timeout: Duration) -> Started {
    let (opened, journal) = (Arc::new(Opened::default()), Journal::default());
    let app = Helios::new(App).provide_as(Arc::clone(&opened));
    let app = app.provide(journal.clone()).header_timeout(header_timeout);
    // A drain that takes this long has waited for the wrong things.
    let app = app.drain_deadline(Duration::from_secs(15));
    Started {
        server: TestServer::start(app).await,
        opened,
        journal,
    }
}

async fn http2(server: &TestServer) -> TcpStream {
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    client
}

/// Returns the types of the frames that arrive until the connection ends.
async fn frames(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = within(client.read_to_end(&mut bytes)).await;
    let (mut types, mut rest) = (Vec::new(), &bytes[..]);
    while let [a, b, c, kind, ..] = rest {
        types.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    types
}

const GO_AWAY: u8 = 7;

#[tokio::test]
async fn an_idle_http2_connection_gets_a_goaway_and_is_closed() {
    let it = start(PATIENCE).await;
    let half_a_head = &GET_GATE[..12];
    let never_answers_settings: &[u8] = b"";
    for sent in [never_answers_settings, half_a_head] {
        let mut client = http2(&it.server).await;
        client.write_all(sent).await.unwrap();
        let frames = frames(&mut client).await;
        assert!(frames.contains(&GO_AWAY), "{frames:?}");
    }
}

#[tokio::test]
async fn a_request_that_runs_keeps_its_http2_connection() {
    let it = start(PATIENCE).await;
    let mut client = http2(&it.server).await;
    client.write_all(GET_GATE).await.unwrap();
    it.journal.wait_for("waits").await;
    // The idle time of the other connection began later, so its end shows that this one has survived.
    frames(&mut http2(&it.server).await).await;
    it.opened.0.add_permits(1);
    let frames = frames(&mut client).await;
    let (headers, data) = (1, 0);
    assert!(
        frames.contains(&headers) && frames.contains(&data),
        "{frames:?}"
    );
}

/// Returns how long a shutdown takes, in seconds.
async fn stop(server: TestServer) -> u64 {
    let begin = Instant::now();
    server.stop().await.unwrap();
    begin.elapsed().as_secs()
}

#[tokio::test]
async fn half_a_head_does_not_hold_a_shutdown_up() {
    let it = start(Duration::from_secs(60)).await;
    let answered = "GET /none HTTP/1.1\r\nhost: x\r\n\r\n";
    let half = "GET /none HTTP/1.1\r\nhost: ";
    let first = it.server.raw(half).await;
    let mut later = it.server.raw(answered).await;
    let mut read = [0; 12];
    later.read_exact(&mut read).await.unwrap();
    later.write_all(half.as_bytes()).await.unwrap();
    let both = it.server.raw(&format!("{answered}{half}")).await;
    let mut half_of_http2 = http2(&it.server).await;
    half_of_http2.write_all(&GET_GATE[..12]).await.unwrap();
    let silent_http2 = http2(&it.server).await;
    let nothing = it.server.raw("").await;
    let half_a_preface = it.server.raw("PRI * HT").await;
    it.server.get("/none").await;
    assert!(stop(it.server).await < 8, "less than the deadline by far");
    drop((
        first,
        later,
        both,
        half_of_http2,
        silent_http2,
        nothing,
        half_a_preface,
    ));
}

/// The client answers no ping, so h2 never sends it the final GOAWAY.
#[tokio::test]
async fn an_http2_client_that_keeps_asking_delays_no_shutdown() {
    let it = start(Duration::from_secs(60)).await;
    let mut client = http2(&it.server).await;
    client.write_all(GET_GATE).await.unwrap();
    it.journal.wait_for("waits").await;
    it.opened.0.add_permits(1 << 10);
    let asks = tokio::spawn(async move {
        let (mut often, mut request) = (interval(Duration::from_millis(100)), GET_GATE.to_vec());
        for stream in (3..).step_by(2) {
            often.tick().await;
            request[5..9].copy_from_slice(&u32::to_be_bytes(stream));
            if client.write_all(&request).await.is_err() {
                break;
            }
        }
    });
    assert!(stop(it.server).await < 8, "less than the deadline by far");
    within(asks).await.unwrap();
}

#[tokio::test]
async fn a_request_that_runs_is_answered_before_the_server_ends() {
    let it = start(Duration::from_secs(60)).await;
    let mut http1 = it.server.raw("GET /gate HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut http2 = http2(&it.server).await;
    http2.write_all(GET_GATE).await.unwrap();
    support::eventually(|| it.journal.count("waits") == 2).await;
    let stopped = tokio::spawn(it.server.stop());
    it.journal.note("stops");
    // Both connections are or will be in shutdown, and a response during it still has to arrive.
    tokio::task::yield_now().await;
    it.opened.0.add_permits(2);
    assert!(read_to_end(&mut http1).await.ends_with("passed"));
    let data = 0;
    assert!(frames(&mut http2).await.contains(&data));
    stopped.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_response_that_is_being_read_survives_a_shutdown() {
    let it = start(Duration::from_secs(60)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut slow = socket.connect(it.server.addr).await.unwrap();
    let request = "GET /gate/large HTTP/1.1\r\nhost: x\r\n\r\n";
    slow.write_all(request.as_bytes()).await.unwrap();
    it.journal.wait_for("large").await;
    let stopped = tokio::spawn(it.server.stop());
    let answer = read_to_end(&mut slow).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 4 << 20, "{head}");
    stopped.await.unwrap().unwrap();
}

/// `GET /gate/kib/NN`, encoded like the other request.
fn get_kib(count: usize) -> Vec<u8> {
    [
        b"\0\0\x13\x01\x05\0\0\0\x01\x82\x86\x04\x0c/gate/kib/",
        count.to_string().as_bytes(),
        b"\x41\x01x",
    ]
    .concat()
}

/// Windows of a megabyte, and settings that give them to all streams.
const WINDOWS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x10\0\0\0\0\x04\x08\0\0\0\0\0\0\x10\0\0";

/// Returns whether a response arrives whole, if its client reads nothing for a while.
async fn arrives_after_a_pause(server: &TestServer, kib: usize) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut client = socket.connect(server.addr).await.unwrap();
    let request = [PREFACE, WINDOWS, &get_kib(kib)].concat();
    client.write_all(&request).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    let mut bytes = Vec::new();
    // As clients do that read.
    let window_update = b"\0\0\x04\x08\0\0\0\0\0\0\0\x04\0";
    while within(client.read_buf(&mut bytes))
        .await
        .is_ok_and(|count| count > 0)
    {
        let _ = client.write_all(window_update).await;
    }
    let body = bytes.iter().filter(|byte| **byte == b'x').count();
    body >= kib << 10
}

/// With some of these sizes, hyper has given everything to h2, but h2 has not given it to the socket.
#[tokio::test]
async fn an_answer_that_is_read_late_arrives_whole_over_http2() {
    let it = start(PATIENCE).await;
    let server = &it.server;
    let sizes: Vec<_> = (10..99).step_by(4).collect();
    let arrived = join_all(sizes.iter().map(|kib| arrives_after_a_pause(server, *kib))).await;
    let cut: Vec<_> = sizes
        .iter()
        .zip(arrived)
        .filter(|(_, whole)| !whole)
        .collect();
    assert!(cut.is_empty(), "{cut:?}");
}
