//! How a measured server reports that it is ready.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use helios::http::Listener;
use tokio::net::{TcpListener, TcpStream};

/// Prints the address of a server, and how many microseconds it took to start.
pub fn announce(address: SocketAddr, startup: Duration) {
    println!("{address} {}", startup.as_micros());
}

/// A listener that reports its first use, at which the server is ready.
pub struct Announced {
    listener: TcpListener,
    started: Instant,
    done: AtomicBool,
}

impl Announced {
    /// Binds a free port and starts to measure the start-up.
    ///
    /// # Errors
    ///
    /// Returns an error if no port can be bound.
    pub async fn bind() -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(("127.0.0.1", 0)).await?,
            started: Instant::now(),
            done: AtomicBool::new(false),
        })
    }
}

impl Listener for Announced {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        if !self.done.swap(true, Ordering::Relaxed) {
            announce(self.listener.local_addr()?, self.started.elapsed());
        }
        Listener::accept(&self.listener).await
    }

    fn address(&self) -> io::Result<String> {
        Listener::address(&self.listener)
    }
}
