use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(10);
/// Long enough for loopback to carry a byte, as far as a test can prove that nothing arrives.
const QUIET: Duration = Duration::from_millis(50);

/// Starts a proxy in front of an echo server.
async fn before_an_echo() -> Proxy {
    let echo = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = echo.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Proxy::start(addr).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

async fn read(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let read = timeout(SOON, client.read_exact(&mut bytes)).await;
    read.unwrap().unwrap();
    bytes
}

async fn is_quiet(client: &mut TcpStream) -> bool {
    timeout(QUIET, client.read_u8()).await.is_err()
}

async fn is_closed(client: &mut TcpStream) -> bool {
    let read = timeout(SOON, client.read_u8()).await.unwrap();
    read.is_err()
}

#[tokio::test]
async fn bytes_pass_and_so_do_ends() {
    let proxy = before_an_echo().await;
    let mut client = connect(&proxy).await;
    let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let (mut from, mut to) = client.split();
    let write = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, read) = tokio::join!(write, from.read_to_end(&mut back));
    read.unwrap();
    assert!(back == sent);
}

#[tokio::test]
async fn a_delay_lets_bytes_arrive_later() {
    let proxy = before_an_echo().await;
    proxy.delay(Way::Both, Duration::from_millis(30));
    let mut client = connect(&proxy).await;
    let at = Instant::now();
    client.write_all(b"late").await.unwrap();
    assert_eq!(read(&mut client, 4).await, b"late");
    // It cannot arrive sooner.
    assert!(at.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn held_bytes_arrive_when_the_proxy_is_healed() {
    let proxy = before_an_echo().await;
    for way in [Way::ToServer, Way::ToClient, Way::Both] {
        let mut client = connect(&proxy).await;
        proxy.hold(way);
        client.write_all(b"held").await.unwrap();
        assert!(is_quiet(&mut client).await, "{way:?}");
        proxy.heal();
        assert_eq!(read(&mut client, 4).await, b"held", "{way:?}");
    }
}

#[tokio::test]
async fn held_bytes_do_not_grow_without_a_bound() {
    let proxy = before_an_echo().await;
    proxy.hold(Way::ToServer);
    let mut client = connect(&proxy).await;
    let write = async {
        loop {
            client.write_all(&[0; CHUNK]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    // A sender that has to wait stays idle in the end. Without a limit, this would never be idle.
    let mut waits = std::pin::pin!(write);
    let mut idle = 0;
    let deadline = Instant::now() + SOON;
    while idle < 5 {
        assert!(Instant::now() < deadline, "it takes everything");
        let before = Instant::now();
        let _: Result<(), _> = timeout(Duration::from_millis(20), &mut waits).await;
        idle += u32::from(before.elapsed() >= Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_connection_that_lost_bytes_is_half_open_until_cut() {
    let proxy = before_an_echo().await;
    let mut client = connect(&proxy).await;
    client.write_all(b"1").await.unwrap();
    assert_eq!(read(&mut client, 1).await, b"1");
    proxy.drop_bytes(Way::ToClient);
    client.write_all(b"2").await.unwrap();
    assert!(is_quiet(&mut client).await);
    proxy.heal();
    client.write_all(b"3").await.unwrap();
    assert!(is_quiet(&mut client).await);
    let mut other = connect(&proxy).await;
    other.write_all(b"4").await.unwrap();
    assert_eq!(read(&mut other, 1).await, b"4");
    proxy.cut();
    assert!(is_closed(&mut client).await && is_closed(&mut other).await);
}

#[tokio::test]
async fn new_connections_are_refused_and_open_ones_go_on() {
    let proxy = before_an_echo().await;
    let mut client = connect(&proxy).await;
    client.write_all(b"1").await.unwrap();
    assert_eq!(read(&mut client, 1).await, b"1");
    proxy.refuse();
    assert!(is_closed(&mut connect(&proxy).await).await);
    client.write_all(b"2").await.unwrap();
    assert_eq!(read(&mut client, 1).await, b"2");
    proxy.heal();
    let mut client = connect(&proxy).await;
    client.write_all(b"3").await.unwrap();
    assert_eq!(read(&mut client, 1).await, b"3");
}

#[tokio::test]
async fn a_dropped_proxy_ends_its_connections() {
    let proxy = before_an_echo().await;
    let mut client = connect(&proxy).await;
    drop(proxy);
    assert!(is_closed(&mut client).await);
}
