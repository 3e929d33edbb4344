//! How a server ends: by signals to a process of its own, and with work that never ends by itself.
#![allow(clippy::unwrap_used)]

use std::future::pending;
use std::net::SocketAddr;

use helios::prelude::*;
use support::backplane::Log;
use support::journal::Journal;
use support::{TestServer, read_to_end, within};

#[derive(Injectable)]
#[inject(on_stop = stop)]
struct Endless {
    journal: Arc<Journal>,
}

#[controller(prefix = "endless")]
impl Endless {
    #[get("request")]
    async fn request(&self) {
        self.journal.note("request");
        pending::<()>().await;
    }

    #[sse("stream")]
    fn stream(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("held")]
    fn held(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_close]
    async fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
        pending::<()>().await;
    }

    async fn stop(&self) {
        self.journal.note("stops");
        pending::<()>().await;
    }
}

#[server(controllers = [Endless], sse(enabled = true))]
struct App;

#[tokio::test]
async fn work_that_never_ends_is_abandoned_at_the_deadline() {
    let journal = Journal::default();
    let link = Log::new(10).link(1);
    let app = Helios::new(App)
        .provide(journal.clone())
        .backplane(link.clone());
    let server = TestServer::start(app.drain_deadline(Duration::from_millis(300))).await;
    let head = "HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut request = server.raw(&format!("GET /endless/request {head}")).await;
    let mut stream = server.raw(&format!("GET /endless/stream {head}")).await;
    journal.wait_for("request").await;
    assert!(link.is_started());
    server.wait_for_connections(1).await;
    server.stop().await.unwrap();
    assert_eq!(journal.notes(), ["request", "shutdown", "stops"]);
    assert!(!link.is_started(), "a service that hangs does not keep it");
    assert_eq!(read_to_end(&mut request).await, "", "it was cut");
    assert!(read_to_end(&mut stream).await.contains("helios:reconnect"));
}

#[cfg(unix)]
mod shutdown {
    mod unix_socket;
}

/// Signals affect a whole process, so the server of these tests is another process of this program.
#[cfg(unix)]
mod signals {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ExitStatus, Stdio};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
    use tokio::net::TcpStream;
    use tokio::process::{Child, ChildStdout, Command};

    use super::*;

    #[derive(Injectable)]
    struct Pages;

    #[controller(prefix = "pages")]
    impl Pages {
        #[get("endless")]
        async fn endless(&self) {
            println!("page");
            pending::<()>().await;
        }

        #[sse("stream")]
        fn stream(&self) -> SseStream {
            SseStream::new()
        }
    }

    #[server(controllers = [Pages], port = 0, sse(enabled = true))]
    struct Site;

    const SERVE: &str = "SERVE_UNTIL_A_SIGNAL";
    const OWN_SHUTDOWN: &str = "WITH_A_SHUTDOWN_OF_ITS_OWN";

    /// Not a test, but the server for the others, in a process of its own.
    #[tokio::test]
    async fn server() {
        if std::env::var_os(SERVE).is_none() {
            return;
        }
        // Longer than any test waits, so that only a signal can end it.
        let app = Helios::new(Site).drain_deadline(Duration::from_secs(3600));
        let app = match std::env::var_os(OWN_SHUTDOWN) {
            Some(_) => app.shutdown_on(pending()),
            None => app,
        };
        app.listen().await.unwrap();
        println!("the end");
    }

    struct Process {
        child: Child,
        lines: Lines<BufReader<ChildStdout>>,
        addr: SocketAddr,
    }

    impl Process {
        async fn start(env: &[&str]) -> Self {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "signals::server", "--nocapture"])
                .env_remove("HELIOS_HOST")
                .env_remove("HELIOS_PORT")
                .env(SERVE, "yes")
                .envs(env.iter().map(|name| (name, "yes")))
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let addr = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut process = Self { child, lines, addr };
            let listening = process.line("listening on http://").await;
            process.addr = listening.parse().unwrap();
            process
        }

        /// Returns the rest of the first line with this text.
        async fn line(&mut self, start: &str) -> String {
            loop {
                let line = within(self.lines.next_line()).await.unwrap().unwrap();
                if let Some((_, rest)) = line.split_once(start) {
                    return rest.to_owned();
                }
            }
        }

        async fn get(&self, path: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.addr).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        }

        async fn signal(&self, name: &str) {
            let id = self.child.id().unwrap().to_string();
            let status = Command::new("kill").args(["-s", name, &id]).status().await;
            assert!(status.unwrap().success());
        }

        /// Waits until the first signal has taken effect.
        async fn wait_until_it_drains(&self) {
            within(async {
                while TcpStream::connect(self.addr).await.is_ok() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }

        async fn end(&mut self) -> ExitStatus {
            within(self.child.wait()).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_signal_ends_streams_with_a_word_and_listen_returns() {
        for signal in ["TERM", "INT"] {
            let mut process = Process::start(&[]).await;
            let mut stream = process.get("/pages/stream").await;
            stream.read_u8().await.unwrap();
            process.signal(signal).await;
            let text = read_to_end(&mut stream).await;
            assert!(text.contains("event: helios:reconnect"), "{text}");
            process.line("the end").await;
            assert!(process.end().await.success());
        }
    }

    #[tokio::test]
    async fn a_second_signal_cuts_what_does_not_end() {
        let mut process = Process::start(&[]).await;
        let mut request = process.get("/pages/endless").await;
        process.line("page").await;
        process.signal("TERM").await;
        process.wait_until_it_drains().await;
        process.signal("INT").await;
        assert_eq!(read_to_end(&mut request).await, "");
        process.line("the end").await;
        assert!(process.end().await.success());
    }

    #[tokio::test]
    async fn with_an_own_shutdown_signals_keep_their_usual_effect() {
        let mut process = Process::start(&[OWN_SHUTDOWN]).await;
        process.signal("TERM").await;
        assert_eq!(process.end().await.signal(), Some(15));
    }
}
