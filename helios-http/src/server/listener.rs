//! Sources of connections that a server can listen on.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use crate::failure::text;

/// How many connections may wait to be accepted. After a restart all clients reconnect at once. The kernel lowers this
/// to `net.core.somaxconn`.
pub(super) const BACKLOG: u32 = 4096;

/// How many bytes the kernel accepts beyond those that it can send. Without a limit that would be megabytes, and a slow
/// client could not be told from one that does not read.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT_BYTES: u32 = 16 * 1024;

/// Listens on the first usable address of the host.
pub(crate) async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_host((host, port)).await? {
        match bind_to(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows it would let another program bind the same port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A source of connections: a TCP listener, a Unix one, or your own one for `Helios::listen_on`.
///
/// ```
/// use std::{io, net::SocketAddr};
///
/// use helios::http::Listener;
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// Drops connections from other machines.
/// struct Local(TcpListener);
///
/// impl Listener for Local {
///     type Io = TcpStream;
///
///     async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
///         loop {
///             let (io, addr) = Listener::accept(&self.0).await?;
///             if addr.is_some_and(|addr| addr.ip().is_loopback()) {
///                 return Ok((io, addr));
///             }
///         }
///     }
///
///     fn address(&self) -> io::Result<String> {
///         self.0.address()
///     }
/// }
/// ```
pub trait Listener: Send + Sync + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Returns the next connection, and the address of its other end if it has one. Must be cancel-safe, because the
    /// future is dropped at shutdown.
    ///
    /// # Errors
    ///
    /// The operating system's. An error that concerns a single connection is ignored. Any other error is logged, and
    /// the server tries again after 50 ms.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;

    /// Returns the address that it listens on, for people.
    ///
    /// # Errors
    ///
    /// The operating system's.
    fn address(&self) -> io::Result<String>;

    /// Makes a connection end with a reset when it is dropped, which happens next. A response to HTTP/1.0 ends with its
    /// connection, so only a reset shows the client that it broke off. By default the connection is closed normally.
    fn reset(io: &Self::Io) {
        let _ = io;
    }
}

impl Listener for TcpListener {
    type Io = TcpStream;

    /// Sets `TCP_NODELAY`, since otherwise an event would wait for the acknowledgement of the one before.
    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, addr) = Self::accept(self).await?;
        if let Err(error) = stream.set_nodelay(true) {
            // On macOS, because the client has left already.
            tracing::debug!(error = text(error), "cannot set TCP_NODELAY");
        }
        limit_unsent(&stream);
        Ok((stream, Some(addr)))
    }

    fn address(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.local_addr()?))
    }

    fn reset(stream: &TcpStream) {
        if let Err(error) = stream.set_zero_linger() {
            tracing::debug!(
                error = text(error),
                "cannot reset a connection; it is closed normally"
            );
        }
    }
}

/// Limits the unsent bytes of a socket. On other platforms the whole send buffer fills up before a stuck client is
/// noticed.
fn limit_unsent(stream: &TcpStream) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(
            error = text(error),
            "cannot limit the unsent bytes of a socket"
        );
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = stream;
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Self::Io, Option<SocketAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn address(&self) -> io::Result<String> {
        let addr = self.local_addr()?;
        Ok(match addr.as_pathname() {
            Some(path) => format!("unix:{}", path.display()),
            None => "an unnamed Unix socket".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default of std and mio is 128.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hundreds_of_clients_may_wait_to_be_accepted() {
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let clients = most.trim().parse().unwrap_or(300).min(300);
        let listener = bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = std::time::Duration::from_secs(5);
        let connected: Vec<_> = (0..clients)
            .map(|_| std::net::TcpStream::connect_timeout(&address, patience).unwrap())
            .collect();
        assert_eq!(connected.len(), clients);
    }

    #[tokio::test]
    async fn a_host_without_a_usable_address_is_an_error() {
        let error = bind("192.0.2.1", 0).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
