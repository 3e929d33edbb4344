//! Unix sockets, and the fate of their files.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use helios::Error;
use helios::prelude::*;
use support::folder::Folder;
use support::{eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Injectable)]
struct Hello;

#[controller(prefix = "hello")]
impl Hello {
    #[get]
    fn hello(&self) -> &str {
        "hello"
    }
}

#[server(controllers = [Hello])]
struct App;

struct Server {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

impl Server {
    /// Waits until it responds.
    async fn start(app: Helios, path: &Path) -> Self {
        let (stop, stopped) = oneshot::channel();
        let app = app.banner(false).unix_socket(path).shutdown_on(async {
            let _ = stopped.await;
        });
        let ended = tokio::spawn(app.listen());
        within(async {
            while get(path).await.is_err() {
                assert!(!ended.is_finished(), "it has not started");
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self { stop, ended }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.ended).await.unwrap().unwrap();
    }
}

async fn get(path: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(path).await?;
    stream
        .write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await?;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    Ok(())
}

fn folder() -> (Folder, PathBuf) {
    let folder = Folder::new("unix");
    let path = folder.0.join("app.sock");
    (folder, path)
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

async fn error_of(path: &Path) -> (io::ErrorKind, String) {
    let app = Helios::new(App).banner(false).unix_socket(path);
    let error = within(app.listen()).await.unwrap_err();
    let text = error.to_string();
    let Error::Bind {
        source, address, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(address, format!("unix:{}", path.display()));
    (source.kind(), text)
}

#[tokio::test]
async fn the_file_of_a_bound_socket_is_removed_at_shutdown() {
    let (_folder, path) = folder();
    for _ in 0..2 {
        let server = Server::start(Helios::new(App), &path).await;
        server.stop().await;
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_file_that_has_taken_the_place_of_ours_stays() {
    let (_folder, path) = folder();
    let server = Server::start(Helios::new(App), &path).await;
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let its = inode(&path);
    server.stop().await;
    assert_eq!(inode(&path), its);
    drop(other);
}

#[tokio::test]
async fn what_a_killed_server_has_left_behind_makes_room() {
    let (_folder, path) = folder();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = Server::start(Helios::new(App), &path).await;
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn the_path_of_a_server_that_listens_is_not_stolen() {
    let (_folder, path) = folder();
    let server = Server::start(Helios::new(App), &path).await;
    let its = inode(&path);
    let (kind, text) = error_of(&path).await;
    assert_eq!(kind, io::ErrorKind::AddrInUse);
    assert!(text.contains("another server listens there"), "{text}");
    assert_eq!(inode(&path), its);
    get(&path).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn the_path_of_a_hanging_server_is_not_stolen() {
    let (_folder, path) = folder();
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let _hangs = socket.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(client) = UnixStream::connect(&path).await {
        waiting.push(client);
    }
    let (kind, text) = error_of(&path).await;
    assert_eq!(kind, io::ErrorKind::AddrInUse);
    assert!(text.contains("another server listens there"), "{text}");
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_removed() {
    let (folder, path) = folder();
    let file = folder.0.join("file");
    fs::write(&file, "precious").unwrap();
    let link = folder.0.join("link");
    symlink(&file, &link).unwrap();
    let stale = folder.0.join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let link_to_socket = folder.0.join("link-to-socket");
    symlink(&stale, &link_to_socket).unwrap();
    fs::create_dir(&path).unwrap();
    for taken in [&file, &link, &link_to_socket, &path] {
        let (kind, text) = error_of(taken).await;
        assert_eq!(kind, io::ErrorKind::AddrInUse, "{}", taken.display());
        assert!(text.contains("not a socket"), "{text}");
        assert!(fs::symlink_metadata(taken).is_ok());
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");
    assert!(stale.exists());
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_says_so() {
    let (folder, _) = folder();
    let (kind, text) = error_of(&folder.0.join("none/app.sock")).await;
    assert_eq!(kind, io::ErrorKind::NotFound);
    assert!(text.contains("make the folder"), "{text}");
}

#[tokio::test]
async fn the_file_has_the_mode_that_was_asked_for() {
    let (_folder, path) = folder();
    let app = Helios::new(App).unix_socket_mode(0o640);
    let server = Server::start(app, &path).await;
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_file_behind() {
    #[derive(Injectable)]
    #[inject(on_start = start)]
    struct Broken;

    impl Broken {
        async fn start(&self) -> Result<(), io::Error> {
            Err(io::Error::other("it does not start"))
        }
    }

    #[controller]
    impl Broken {}

    #[server(controllers = [Broken])]
    struct NoApp;

    let (_folder, path) = folder();
    let app = Helios::new(NoApp).banner(false).unix_socket(&path);
    let error = within(app.listen()).await.unwrap_err();
    assert!(matches!(error, Error::Start(_)), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_listener_of_the_app_keeps_its_socket_file() {
    let (folder, path) = folder();
    let run = async |path: &Path| {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let app = Helios::new(App).banner(false).shutdown_on(async {});
        within(app.listen_on(listener)).await.unwrap();
    };
    let logged = async |path: &Path, log: &Path| {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Arc::new(fs::File::create(log).unwrap()));
        let _logging = subscriber.set_default();
        run(path).await;
        fs::read_to_string(log).unwrap()
    };
    let drained = |text: &str| {
        let line = text.lines().find(|line| line.contains("draining"));
        line.map(str::to_owned)
    };
    // Another test may use the same line for the first time, or set a subscriber, at the same moment. tracing then leaves
    // the line off until a subscriber is set again.
    let (mut text, mut tries) = (logged(&path, &folder.0.join("log")).await, 0);
    while drained(&text).is_none() {
        tries += 1;
        assert!(tries < 20, "{text}");
        fs::remove_file(&path).unwrap();
        text = logged(&path, &folder.0.join("log")).await;
    }
    assert!(path.exists());

    let drained = drained(&text).unwrap();
    assert!(
        drained.contains(&format!("unix:{}", path.display())),
        "{text}"
    );

    let again = tokio::net::UnixListener::bind(&path).map_err(Error::from);
    let error = again.unwrap_err().to_string();
    assert!(error.contains("`Helios::unix_socket`"), "{error}");
}

#[tokio::test]
async fn the_file_disappears_when_the_server_stops_accepting() {
    #[derive(Injectable)]
    struct Slow;

    #[controller(prefix = "slow")]
    impl Slow {
        #[get]
        async fn slow(&self) {
            std::future::pending::<()>().await;
        }
    }

    #[server(controllers = [Hello, Slow])]
    struct Both;

    let (_folder, path) = folder();
    let app = Helios::new(Both).drain_deadline(Duration::from_millis(500));
    let server = Server::start(app, &path).await;
    let mut running = UnixStream::connect(&path).await.unwrap();
    running
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    server.stop.send(()).unwrap();
    eventually(|| !path.exists()).await;
    // Another server may begin at once, and keeps its file.
    let next = Server::start(Helios::new(App), &path).await;
    within(server.ended).await.unwrap().unwrap();
    get(&path).await.unwrap();
    next.stop().await;
}
