//! An app on a real socket.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Helios;
use crate::error::Error;
use crate::server::bind;
use crate::sse::SseService;

/// An app that listens on the loopback interface, for clients of your own. Dropping it stops the server.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestServer;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// #[derive(Injectable)]
/// struct Hello;
///
/// #[controller]
/// impl Hello {
///     #[get("hello")]
///     fn hello(&self) -> &str { "hello" }
/// }
/// # #[server(controllers = [Hello])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::Error> {
/// let server = TestServer::start(App).await?;
/// let mut client = TcpStream::connect(server.addr()).await?;
/// client.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer).await?;
/// assert!(answer.ends_with("\r\n\r\nhello"));
/// server.stop().await
/// # }
/// ```
pub struct TestServer {
    addr: SocketAddr,
    sse: SseService,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl TestServer {
    /// Serves on a free port. A connection waits until the app is ready.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no free port. Errors that keep the app from starting are returned by
    /// [`stop`](Self::stop).
    pub async fn start(app: impl Into<Helios>) -> Result<Self, Error> {
        let listener = bind("127.0.0.1", 0).await?;
        Self::start_on(app, listener)
    }

    /// Serves on a listener of your own, such as one on the port of a server that has stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the listener has no address. Errors that keep the app from starting are returned by
    /// [`stop`](Self::stop).
    pub fn start_on(app: impl Into<Helios>, listener: TcpListener) -> Result<Self, Error> {
        let app = app.into();
        let addr = listener.local_addr()?;
        let sse = app.sse();
        let (stop, stopped) = oneshot::channel::<()>();
        let app = app.banner(false).shutdown_on(async {
            // Dropping a `TestServer` stops its server too.
            let _ = stopped.await;
        });
        let task = tokio::spawn(app.listen_on(listener));
        Ok(Self {
            addr,
            sse,
            stop,
            task,
        })
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the service to reach the app's SSE streams from outside.
    #[must_use]
    pub fn sse_service(&self) -> &SseService {
        &self.sse
    }

    /// Shuts down gracefully, and returns the result of [`Helios::listen_on`]. If the future is dropped, the server
    /// still shuts down.
    ///
    /// # Errors
    ///
    /// As [`Helios::listen_on`].
    ///
    /// # Panics
    ///
    /// If the server panicked.
    pub async fn stop(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        self.task
            .await
            .unwrap_or_else(|error| panic!("the server panicked: {error}"))
    }
}
